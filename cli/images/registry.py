"""A client of image registries: what copying an image by its digest needs of the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md; tokens as in
https://distribution.github.io/distribution/spec/auth/token/ and, for Azure's registry, /auth/oauth/.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from cli.errors import CliError
from cli.images.removal import is_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_TRIES = 4
_FIRST_WAIT_SECONDS = 0.5
# What a registry may ask for; who has to wait longer had better try again later.
_LONGEST_WAIT_SECONDS = 60.0
_PIECE = 1024 * 1024
_SECONDS = 60.0
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_DOCKER_HUB = "docker.io"
# A manifest is small; what says to be larger is none.
_LARGEST_MANIFEST = 4 * 1024 * 1024


class RegistryError(CliError):
    """A registry answered with an error, or not at all."""


class _BusyError(RegistryError):
    """A registry cannot do it now: asked again, it may.

    Attributes:
        seconds: How long it asks to wait; 0 where it does not say.
    """

    seconds: float

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Registry:
    """One registry, with the credentials that `docker login` left for it.

    Attributes:
        host: As image names begin.
    """

    host: str

    def __init__(self, host: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        """Connect at the first request.

        Args:
            host: As image names begin, without a path.
            wait: Waits between two tries.
        """
        self.host = host
        self._wait = wait
        scheme = "http" if is_local(host) else "https"
        self._client = httpx.Client(
            base_url=f"{scheme}://{host}",
            timeout=_SECONDS,
            trust_env=not is_local(host),
            # A registry hands blobs out from elsewhere; httpx takes our credentials off before it goes there.
            follow_redirects=True,
        )
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def has(self, kind: str, repository: str, digest: str) -> bool:
        """Tell whether the registry has a blob or a manifest.

        Args:
            kind: `blobs` or `manifests`.
            repository: The repository.
            digest: As `sha256:...`.

        Raises:
            RegistryError: It does not answer, is busy all the time, or does not let us look.
        """
        answer = self.request(
            "HEAD",
            f"/v2/{repository}/{kind}/{digest}",
            what=f"does not tell whether it has {repository}@{digest}",
            codes=(httpx.codes.OK, httpx.codes.NOT_FOUND),
            scope=f"repository:{repository}:pull",
        )
        return answer.status_code == httpx.codes.OK

    def digest(self, repository: str, reference: str) -> str:
        """Return the digest that a tag stands for now.

        Raises:
            RegistryError: The registry does not have it, or does not say.
        """
        if reference.startswith("sha256:"):
            return reference
        return _sha256(self.manifest(repository, reference)[0])

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """Return a manifest and its media type; one that was asked by its digest has been checked against it.

        Raises:
            RegistryError: The registry does not have it, or what it sent is something else.
        """
        answer = self.request(
            "GET",
            f"/v2/{repository}/manifests/{reference}",
            what=f"does not have {repository}@{reference}",
            codes=(httpx.codes.OK,),
            scope=f"repository:{repository}:pull",
        )
        content = answer.content
        if len(content) > _LARGEST_MANIFEST:
            raise RegistryError(f"{self.host} sent a manifest of {repository}@{reference} that is no manifest.")
        if reference.startswith("sha256:") and _sha256(content) != reference:
            raise RegistryError(f"{self.host} sent other bytes than {repository}@{reference}.")
        return content, answer.headers.get("Content-Type", "").partition(";")[0]

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Return a blob's bytes, piece by piece; wrong ones end in an error before the last piece is passed on.

        It is tried once: see `again`.

        Raises:
            RegistryError: The registry does not have it, or what it sent is something else.
        """
        hashed = hashlib.sha256()
        # A token may have run out while what came before was copied; this request renews it.
        self.has("blobs", repository, digest)
        path, scope = f"/v2/{repository}/blobs/{digest}", f"repository:{repository}:pull"
        with self._client.stream("GET", path, headers=self._headers(scope)) as answer:
            self._expect(answer, (httpx.codes.OK,), f"does not hand out {repository}@{digest}")
            held = b""
            for piece in answer.iter_bytes(_PIECE):
                hashed.update(piece)
                if held:
                    yield held
                held = piece
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise RegistryError(f"{self.host} sent other bytes than {repository}@{digest}.")
        yield held

    def mount(self, repository: str, digest: str, source: str) -> str | None:
        """Take a blob over from another repository of the registry.

        Returns:
            None when it is there; else where to upload it.
        """
        scope = f"repository:{repository}:pull,push repository:{source}:pull"
        return self._begin(repository, {"mount": digest, "from": source}, scope)

    def begin(self, repository: str) -> str:
        """Begin an upload; return where to send it."""
        return self._begin(repository, {}, f"repository:{repository}:pull,push") or ""

    def upload(self, repository: str, place: str, digest: str, size: int, pieces: Iterator[bytes]) -> None:
        """Send a blob to where `begin` or `mount` said. It is tried once: see `again`.

        Raises:
            RegistryError: The registry refuses it.
        """
        scope = f"repository:{repository}:pull,push"
        url = self._client.base_url.join(place)
        answer = self._client.put(
            url.copy_merge_params({"digest": digest}),
            content=pieces,
            headers={
                **(self._headers(scope) if url.host == self._client.base_url.host else {}),
                "Content-Length": str(size),
                "Content-Type": "application/octet-stream",
            },
        )
        self._expect(answer, (httpx.codes.CREATED,), f"refuses {repository}@{digest}")

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        """Add a manifest by its digest, or under a tag.

        Raises:
            RegistryError: The registry refuses it.
        """
        self.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            what=f"refuses {repository}@{reference}",
            codes=(httpx.codes.CREATED,),
            content=content,
            headers={"Content-Type": media_type},
            scope=f"repository:{repository}:pull,push",
        )

    def request(
        self, method: str, path: str, *, what: str, codes: tuple[int, ...] | None = None, scope: str, **options: Any
    ) -> httpx.Response:
        """Send a request, again where the registry is only busy, and with a token where it wants one.

        Args:
            method: As in HTTP.
            path: On the registry.
            what: Says in a message what the registry does that answers anything else.
            codes: Answers that are welcome; None for each but a busy registry's.
            scope: What a token has to allow.
            options: For httpx.

        Raises:
            RegistryError: There is no answer, or another one.
        """

        def act() -> httpx.Response:
            answer = self._once(method, path, scope, options)
            self._expect(answer, codes, what)
            return answer

        return self.again(act)

    def again(self, act: Callable[[], T]) -> T:
        """Do something, and once more after a broken connection or from a busy registry, with growing pauses.

        Raises:
            RegistryError: It fails each time.
        """
        for left in reversed(range(_TRIES)):
            asked = 0.0
            try:
                return act()
            except httpx.TransportError as error:
                if not left:
                    raise RegistryError(
                        f"The registry {self.host} does not answer: {str(error) or type(error).__name__}."
                    ) from None
            except _BusyError as error:
                if not left:
                    # No longer as busy: an `again` around this one would do all the tries again.
                    raise RegistryError(str(error)) from None
                asked = error.seconds
            self._wait(max(asked, _FIRST_WAIT_SECONDS * 2 ** (_TRIES - 1 - left)))
        raise AssertionError  # The last try returns or raises.

    def _once(self, method: str, path: str, scope: str, options: dict[str, Any]) -> httpx.Response:
        headers = {"Accept": ", ".join(MANIFEST_TYPES), **options.get("headers", {})}
        rest = {key: value for key, value in options.items() if key != "headers"}
        answer = self._client.request(method, path, headers={**headers, **self._headers(scope)}, **rest)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._authorize(answer, scope):
            answer = self._client.request(method, path, headers={**headers, **self._headers(scope)}, **rest)
        return answer

    def _begin(self, repository: str, query: dict[str, str], scope: str) -> str | None:
        answer = self.request(
            "POST",
            f"/v2/{repository}/blobs/uploads/",
            what=f"takes no uploads to {repository}",
            codes=(httpx.codes.ACCEPTED, *((httpx.codes.CREATED,) if query else ())),
            params=query,
            scope=scope,
        )
        if answer.status_code == httpx.codes.CREATED:
            return None
        return str(answer.headers.get("Location", ""))

    def _headers(self, scope: str) -> dict[str, str]:
        token = self._tokens.get(scope)
        return {"Authorization": token} if token else {}

    def _authorize(self, refused: httpx.Response, scope: str) -> bool:
        """Get what the registry asks for; tell whether there is any."""
        kind, _, rest = refused.headers.get("WWW-Authenticate", "").partition(" ")
        login = _login(self.host)
        basic = _basic(login)
        if kind.lower() == "basic" and basic:
            self._tokens[scope] = basic
            return True
        wanted = dict(_CHALLENGE.findall(rest))
        # A token goes only where the answer came from encrypted, or to this machine.
        if kind.lower() != "bearer" or not wanted.get("realm", "").startswith(
            str(self._client.base_url.scheme) + "://"
        ):
            return False
        query = {"service": wanted.get("service", ""), "scope": scope}
        if login.get("IdentityToken"):
            form = {**query, "grant_type": "refresh_token", "refresh_token": login["IdentityToken"]}
            answer = self._client.post(wanted["realm"], data=form)
        else:
            query_ = [("service", query["service"]), *(("scope", one) for one in scope.split(" "))]
            answer = self._client.get(wanted["realm"], params=query_, headers={"Authorization": basic} if basic else {})
        told = answer.json() if answer.is_success else {}
        token = told.get("access_token") or told.get("token")
        if token:
            self._tokens[scope] = f"Bearer {token}"
        return bool(token)

    def _expect(self, answer: httpx.Response, codes: tuple[int, ...] | None, what: str) -> None:
        told = f"The registry {self.host} {what} (HTTP {answer.status_code})."
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _BusyError(told, _seconds(answer.headers.get("Retry-After", "")))
        if codes is None or answer.status_code in codes:
            return
        hint = None
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            hint = f"Log in first, with rights to pull and push: docker login {self.host}"
        raise RegistryError(told, hint=hint)


def _seconds(retry_after: str) -> float:
    """How long a Retry-After asks to wait: a number of seconds or a date (RFC 9110, 10.2.3); 0 for neither."""
    if retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_WAIT_SECONDS)
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


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
