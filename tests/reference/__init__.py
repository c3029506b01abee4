"""Plain versions of what the library does fast: written from the papers, slow, easy to check by eye."""
