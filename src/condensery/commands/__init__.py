"""The commands: one module each, whose docstring is its help and whose ``main`` reads the command line."""
