"""One command in each file: a function `command`, whose docstring is the command's help."""
