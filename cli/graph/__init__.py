"""A stack as a picture."""
