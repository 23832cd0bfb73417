"""What a registry is shown: the credentials that `docker login` left, or the tokens that it hands out for them.

https://distribution.github.io/distribution/spec/auth/token/ and, for Azure's registry, /auth/oauth/.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_DOCKER_HUB = "docker.io"


class Login:
    """The login at one registry; what was got for a scope is kept."""

    def __init__(self, host: str, client: httpx.Client) -> None:
        """Get nothing yet.

        Args:
            host: The registry, as image names begin.
            client: Asks for tokens.
        """
        self._host = host
        self._client = client
        self._got: dict[str, str] = {}

    def headers(self, scope: str) -> dict[str, str]:
        """Return what to show for a scope: nothing before the registry has asked for something."""
        got = self._got.get(scope)
        return {"Authorization": got} if got else {}

    def renew(self, refused: httpx.Response, scope: str) -> bool:
        """Get what the registry asks for in its refusal; tell whether there is any."""
        kind, _, rest = refused.headers.get("WWW-Authenticate", "").partition(" ")
        login = _login(self._host)
        basic = _basic(login)
        if kind.lower() == "basic" and basic:
            self._got[scope] = basic
            return True
        wanted = dict(_CHALLENGE.findall(rest))
        # A token goes only where the answer came from encrypted, or to this machine.
        if kind.lower() != "bearer" or not wanted.get("realm", "").startswith(f"{self._client.base_url.scheme}://"):
            return False
        service = wanted.get("service", "")
        if login.get("IdentityToken"):
            form = {"grant_type": "refresh_token", "refresh_token": login["IdentityToken"]}
            answer = self._client.post(wanted["realm"], data={"service": service, "scope": scope, **form})
        else:
            query = [("service", service), *(("scope", one) for one in scope.split(" "))]
            answer = self._client.get(wanted["realm"], params=query, headers={"Authorization": basic} if basic else {})
        told = answer.json() if answer.is_success else {}
        token = told.get("access_token") or told.get("token")
        if token:
            self._got[scope] = f"Bearer {token}"
        return bool(token)


def _login(host: str) -> dict[str, str]:
    """What `docker login` keeps for a registry, from its file or from the system's credential store."""
    # It brings all of the Docker client along, which most commands have no use for.
    from docker import auth, errors  # noqa: PLC0415 - see above

    try:
        return auth.load_config().resolve_authconfig(None if host == _DOCKER_HUB else host) or {}
    except (OSError, ValueError, errors.DockerException):
        return {}


def _basic(login: dict[str, str]) -> str | None:
    user = login.get("Username") or login.get("username")
    password = login.get("Password") or login.get("password")
    if not user or not password:
        return None
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
