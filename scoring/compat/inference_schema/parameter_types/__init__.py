"""The types of parameters; each is imported from its own module, because NumPy and pandas may not be there."""
