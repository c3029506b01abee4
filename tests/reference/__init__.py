"""Plain versions of fast library code: written from the papers, slow, and easy to check by reading."""
