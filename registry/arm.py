"""Azure's management API, as far as a model's place is asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure_management import client
from azure_management.client import Management, ManagementError
from azure_management.login import credential
from azure_management.place import AZURE, Place
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = AZURE
_API = "2024-10-01"


class AbsentError(client.AbsentError, RegistryError):
    """There is no such thing in Azure, as a registry's error."""


def login() -> Any:
    """Return who asks."""
    return credential()


class Arm:
    """The API, as one user; its refusals are a registry's."""

    def __init__(self) -> None:
        """Open no connection yet."""
        self._api = Management(_API, Place(ADDRESS), login=login)

    def get(self, path: str, may_need: str, **query: str) -> dict[str, Any]:
        """Return a resource.

        Args:
            path: Its id.
            may_need: The role that somebody needs who may not read it, and on what.
            query: Beside the API's version.

        Raises:
            AbsentError: There is none.
            RegistryError: Nobody is logged in, Azure refuses, or it does not answer.
        """
        with _told():
            return self._api.get(path, may_need, **query)

    def all(self, path: str, may_need: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the resources of a list, page by page; as for `get`."""
        with _told():
            yield from self._api.all(path, may_need, **query)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except client.AbsentError as error:
        raise AbsentError(error.code, str(error)) from None
    except ManagementError as error:
        raise RegistryError(str(error)) from None
