"""What a user of the stand-in is told."""


class EdgeError(Exception):
    """Something of the device that cannot be; the message says what, and what to do."""
