"""Refusals in IoT Hub's own words and form."""

from __future__ import annotations

import datetime as dt
import json
import uuid


class HubError(Exception):
    """What the hub answers instead of what was asked for."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Refuse.

        Args:
            status: Of HTTP.
            code: The hub's name for it.
            message: The hub's words.
        """
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> bytes:
        """Return the answer's body."""
        now = dt.datetime.now(dt.UTC)
        tracking = f"Tracking ID:{uuid.uuid4().hex}-TimeStamp:{now:%m/%d/%Y %H:%M:%S}"
        text = {"Message": f"ErrorCode:{self.code};{self.message}", "ExceptionMessage": tracking}
        return json.dumps(text).encode()


def invalid(message: str) -> HubError:
    """Refuse what was sent."""
    return HubError(400, "ArgumentInvalid", message)


def no_device(device: str) -> HubError:
    """Say that there is no such device."""
    return HubError(404, "DeviceNotFound", f"Device {{Device ID: {device}}} not registered")


def no_module(device: str, module: str) -> HubError:
    """Say that there is no such module."""
    return HubError(
        404, "ModuleNotFound", f"Device {{Device ID: {device}}} module {{Module ID: {module}}} not registered"
    )


def no_configuration(name: str) -> HubError:
    """Say that there is no such configuration."""
    return HubError(404, "ConfigurationNotFound", f"Configuration not found: {name}")


def precondition(what: str) -> HubError:
    """Say that something has been changed by somebody else."""
    return HubError(412, "PreconditionFailed", f"Precondition failed: {what} version did not match")
