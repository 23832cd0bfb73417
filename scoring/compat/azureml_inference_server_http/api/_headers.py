"""Headers and parameters as Flask's users know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Headers:
    """Headers in the order in which they came; their names are found in whatever case."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        """Take names and values."""
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        """The first value of a header."""
        for value in self.getlist(name):
            return value
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        """Replace all of a header's values by one."""
        self.remove(name)
        self.add(name, value)

    def __delitem__(self, name: str) -> None:
        """Remove a header."""
        self.remove(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a header."""
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names and values."""
        return iter(self._pairs)

    def __len__(self) -> int:
        """How many there are, repeated ones counted."""
        return len(self._pairs)

    def __repr__(self) -> str:
        """Names and values."""
        return f"Headers({self._pairs!r})"

    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002 - as in Flask
        """Return the first value of a header, converted by `type`; the default where that is impossible."""
        return _first(self.getlist(name), default, type)

    def getlist(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for known, value in self._pairs if known.lower() == name.lower()]

    get_all = getlist

    def add(self, name: str, value: Any) -> None:
        """Add a value, beside those that the header has."""
        self._pairs.append((name, str(value)))

    def set(self, name: str, value: Any) -> None:
        """Replace all of a header's values by one."""
        self[name] = value

    def remove(self, name: str) -> None:
        """Remove a header, if it is there."""
        self._pairs = [(known, value) for known, value in self._pairs if known.lower() != name.lower()]

    def keys(self) -> list[str]:
        """Return the names."""
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        """Return the values."""
        return [value for _, value in self._pairs]

    def items(self) -> list[tuple[str, str]]:
        """Return names and values."""
        return list(self._pairs)

    def joined(self) -> dict[str, str]:
        """Return a dictionary with the values of repeated headers joined by commas."""
        found: dict[str, str] = {}
        names: dict[str, str] = {}
        for name, value in self._pairs:
            known = names.setdefault(name.lower(), name)
            found[known] = f"{found[known]},{value}" if known in found else value
        return found


class Parameters(dict[str, Any]):
    """Values by name; where a name has several, the first is what it stands for."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        """Take names and values."""
        super().__init__()
        self._all: dict[str, list[Any]] = {}
        for name, value in pairs:
            self._all.setdefault(name, []).append(value)
            self.setdefault(name, value)

    def get(self, name: str, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:  # noqa: A002 - as in Flask
        """Return the first value of a name, converted by `type`; the default where that is impossible."""
        return _first(self.getlist(name), default, type)

    def getlist(self, name: str) -> list[Any]:
        """Return all values of a name."""
        return list(self._all.get(name, ()))

    def to_dict(self, flat: bool = True) -> dict[str, Any]:  # as in Flask
        """Return a dictionary of first values, or of lists of all of them."""
        return dict(self) if flat else {name: list(values) for name, values in self._all.items()}

    def lists(self) -> list[tuple[str, list[Any]]]:
        """Return names and all their values."""
        return [(name, list(values)) for name, values in self._all.items()]


def _first(values: list[Any], default: Any, convert: Callable[[Any], Any] | None) -> Any:
    if not values:
        return default
    if convert is None:
        return values[0]
    try:
        return convert(values[0])
    except (ValueError, TypeError):
        return default
