"""Signatures by cosign: in the registry, beside the image, under the tag that its digest gives (sha256-HEX.sig)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError, Exit
from cli.supply_chain.settings import settings_of
from cli.supply_chain.tools import ToolError, Tools
from releases import Signature
from toolchain.supply_chain import COSIGN

if TYPE_CHECKING:
    from cli.stack.pulumi import Pulumi
    from manifest.supply_chain import SignSettings, VerifySettings

_PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - a variable's name
_VARIABLE = "env://"


class UnsignedError(CliError):
    """An image has no signature of the key, or it is not of this image."""


class Signer:
    """Signs images with a stack's key."""

    def __init__(self, tools: Tools, settings: SignSettings, root: Path) -> None:
        """Check what can be checked before anything is fetched.

        Args:
            tools: Where cosign comes from.
            settings: The key.
            root: What a file's name is relative to.

        Raises:
            CliError: The key is not there, or its password is not.
        """
        self._tools = tools
        self._settings = settings
        self._key = _reference(settings.key, root, tools.env, "sign")
        local = "://" not in settings.key or settings.key.startswith(_VARIABLE)
        if local and _PASSWORD not in tools.env:
            # cosign would ask for it; in a pipeline nobody answers.
            raise CliError(
                f"The key that signs images, {settings.key}, needs its password in the variable {_PASSWORD}.",
                hint=f"Set {_PASSWORD}; to nothing where the key has no password.",
                code=Exit.USAGE,
            )

    def made(self, signature: Signature, image: str) -> bool:
        """Tell whether a signature on record is one of this key, where the image is."""
        mine = (image.partition("@")[0], self._settings.key, self._settings.transparency_log)
        return (signature.repository, signature.key, signature.transparency_log) == mine

    def sign(self, image: str) -> Signature:
        """Sign an image in its registry.

        Args:
            image: Its name with its digest.

        Raises:
            CliError: It is not signed.
        """
        log = self._settings.transparency_log
        arguments = ("sign", "--key", self._key, f"--tlog-upload={str(log).lower()}", "--yes", image)
        self._tools.run(COSIGN, *arguments, what=f"{image} is not signed")
        return Signature(
            repository=image.partition("@")[0],
            key=self._settings.key,
            transparency_log=log,
            tool=self._tools.get(COSIGN).version,
        )


def check_key(pulumi: Pulumi) -> None:
    """Check before a deployment that what it is to be signed with afterwards is there.

    Raises:
        CliError: The key or its password is not.
    """
    settings = settings_of(pulumi.config)
    if settings and settings.sign:
        Signer(Tools(pulumi.env, pulumi.project.root), settings.sign, pulumi.project.root)


def verify(tools: Tools, settings: VerifySettings, image: str, root: Path) -> None:
    """Check that a key has signed an image, and that the signature is of this digest.

    Args:
        tools: Where cosign comes from.
        settings: The key.
        image: Its name with its digest.
        root: What a file's name is relative to.

    Raises:
        UnsignedError: It has not.
        CliError: That cannot be checked: no key, no cosign.
    """
    key = _reference(settings.key, root, tools.env, "verify")
    # Without a log there is nothing of Sigstore's to ask, and nothing is.
    log = [] if settings.transparency_log else ["--insecure-ignore-tlog=true"]
    try:
        tools.run(COSIGN, "verify", "--key", key, *log, "--output", "json", image, what="cosign refuses it")
    except ToolError as error:
        raise UnsignedError(f"{image} is not signed with {settings.key} ({error})") from None


def _reference(key: str, root: Path, env: dict[str, str], purpose: str) -> str:
    """A key as cosign takes it: a file's path as a whole, all else as it is."""
    if key.startswith(_VARIABLE):
        variable = key.removeprefix(_VARIABLE)
        if not env.get(variable):
            raise CliError(
                f"slipway:supplyChain.{purpose}.key is {key}, and the variable {variable} is not set.", code=Exit.USAGE
            )
        return key
    if "://" in key:
        return key
    path = root / Path(key).expanduser()
    if not path.is_file():
        raise CliError(
            f"slipway:supplyChain.{purpose}.key is {key}, and there is no file {path}.",
            hint="`cosign generate-key-pair` makes one: docs/supply-chain.md.",
            code=Exit.USAGE,
        )
    return str(path)
