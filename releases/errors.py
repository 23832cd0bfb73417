"""What goes wrong with releases."""


class ReleaseError(Exception):
    """Releases cannot be read or recorded; the message says where and why."""
