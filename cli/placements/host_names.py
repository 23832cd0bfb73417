"""Names of a user's own that are to lead to a model: whether they do yet, and what to create where they do not."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cli.placements.placement import Placement

# Others say that nobody could be asked.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def missing_name(placement: Placement) -> str | None:
    """Return what to create where nobody knows the name yet by which callers find a model; None where it is known.

    Args:
        placement: The model on its target.
    """
    host = _own_name(placement)
    if host is None or _addresses(host) != set():
        return None
    return (
        f"{host} has no {_record(placement)} yet: create one that leads to {placement.address}, "
        f"where {placement.model} is; callers find it from then on."
    )


def wrong_name(placement: Placement) -> str | None:
    """Return what to change where the name leads elsewhere; None where it does not, or where that is not known.

    Args:
        placement: The model on its target.
    """
    host = _own_name(placement)
    if host is None:
        return None
    found, wanted = _addresses(host), _addresses(placement.address or "")
    if not found or not wanted or found & wanted:
        return None
    return f"{host} leads elsewhere: its {_record(placement)} has to lead to {placement.address}."


def _own_name(placement: Placement) -> str | None:
    """The name, where the model has one beside its address."""
    host = urlsplit(placement.endpoint or "").hostname
    return host if placement.address and host != placement.address else None


def _record(placement: Placement) -> str:
    try:
        ipaddress.ip_address(placement.address or "")
    except ValueError:
        return "CNAME"
    return "address record"


def _addresses(host: str) -> set[str] | None:
    """Return a name's addresses; None where nobody could be asked."""
    try:
        return {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except socket.gaierror as error:
        return set() if error.errno in _NO_SUCH_NAME else None
