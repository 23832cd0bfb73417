"""How much the peers of a process may hold together: connections, and bodies that are still coming in."""

from __future__ import annotations


class Room:
    """Counts what is taken, and says whether there is room for more.

    Attributes:
        connections: How many there may be.
    """

    def __init__(self, most_bytes: int, connections: int) -> None:
        """Begin empty.

        Args:
            most_bytes: How much unfinished bodies may be together.
            connections: How many connections there may be.
        """
        self.connections = connections
        self._most = most_bytes
        self._taken = 0

    def take(self, size: int, held: int) -> bool:
        """Take room for a part of a body, if there is.

        Args:
            size: Its bytes.
            held: What the same request has taken already: one alone always has room.
        """
        others = self._taken - held
        if others and self._taken + size > self._most:
            return False
        self._taken += size
        return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._taken -= size
