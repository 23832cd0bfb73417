"""What pip needs to reach its packages from inside a build: a mirror's address, a company's certificates.

Both go in as BuildKit secrets: they are in no layer and in no cache key, so that a build behind a company's proxy
gives the same image as one outside.
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifest import Environment

# The variables by which pip, requests, OpenSSL and curl are told of a bundle; the first that is set wins.
_BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_DISTRIBUTION_CERTIFICATES = Path("/usr/share/ca-certificates")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_NOTHING = "# nothing beside pip's own\n"


def build_secrets(environment: Environment, root: Path, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the secrets that every build of an environment gets.

    Both keys are always there: a secret that appears on one machine only would be a change of the image.

    Args:
        environment: The stack's configuration, which may name a mirror and a bundle.
        root: The project's folder, which the bundle's path is relative to.
        variables: The process's environment variables.

    Returns:
        `pip_conf`, a pip.conf, and `ca_bundle`, the certificates that pip does not have itself, as PEM.

    Raises:
        RunError: The configuration names a bundle that is not there.
    """
    return {
        "pip_conf": _pip_conf(environment, variables),
        "ca_bundle": _extra_certificates(environment, root, variables),
    }


def _pip_conf(environment: Environment, variables: Mapping[str, str]) -> str:
    """A pip.conf of what the stack says, else pip's variables, else pip's own files."""
    pip = environment.pip
    files = _pip_files(variables)
    stack = {
        "index-url": pip.index_url if pip else None,
        "extra-index-url": " ".join(pip.extra_index_urls) if pip else None,
        "trusted-host": " ".join(pip.trusted_hosts) if pip else None,
    }
    lines = []
    for option, configured in stack.items():
        value = configured or variables.get(f"PIP_{option.upper().replace('-', '_')}") or files.get(option)
        if value:
            lines.append(f"{option} = {' '.join(value.split())}\n")
    return "".join(["[global]\n", *lines]) if lines else _NOTHING


def _pip_files(variables: Mapping[str, str]) -> dict[str, str]:
    """The `[global]` options of pip's configuration files, later files over earlier ones.

    Source: pip's documentation, "Configuration Files", for Linux and macOS.
    """
    home = Path(variables.get("HOME") or Path.home())
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    places = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        Path("/Library/Application Support/pip/pip.conf"),
        home / ".pip/pip.conf",
        config / "pip/pip.conf",
        home / "Library/Application Support/pip/pip.conf",
    ]
    chosen = variables.get("PIP_CONFIG_FILE")
    # pip's documented way to switch its files off.
    if chosen == os.devnull:
        return {}
    parser = configparser.RawConfigParser()
    try:
        parser.read([*places, *([chosen] if chosen else [])], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise pulumi.RunError(
            f"pip's configuration cannot be read: {error}. Mend the file; pip refuses it too."
        ) from None
    return dict(parser.items("global")) if parser.has_section("global") else {}


def _extra_certificates(environment: Environment, root: Path, variables: Mapping[str, str]) -> str:
    if environment.ca_bundle:
        bundle = root / environment.ca_bundle
        if not bundle.is_file():
            raise pulumi.RunError(
                f"slipway:caBundle: no such file: {environment.ca_bundle}. Give a file of PEM certificates, "
                "relative to the project's folder, or remove the key."
            )
    else:
        told = next((variables[name] for name in _BUNDLE_VARIABLES if variables.get(name)), None)
        told = told or _pip_files(variables).get("cert")
        if told is None or not Path(told).is_file():
            return _NOTHING
        bundle = Path(told)
    known = _certificates(Path(certifi.where()))
    if _DISTRIBUTION_CERTIFICATES.is_dir():
        for path in _DISTRIBUTION_CERTIFICATES.rglob("*.crt"):
            known |= _certificates(path)
    extra = _certificates(bundle) - known
    return "\n".join(sorted(extra)) + "\n" if extra else _NOTHING


def _certificates(path: Path) -> set[str]:
    return set(_CERTIFICATE.findall(path.read_text(encoding="ascii", errors="replace")))
