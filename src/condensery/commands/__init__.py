"""The commands, one module each: its docstring is the help, its ``main`` reads the command line."""
