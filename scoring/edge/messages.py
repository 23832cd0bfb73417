"""Messages on the wire: what their topics say, which scores are alerts, and what is sent of them."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import orjson

from scoring.edge.store import Message, Rank

if TYPE_CHECKING:
    from scoring.edge.twin import Tuning

SCORES, ALERTS, ERRORS = "scores", "alerts", "errors"
MESSAGE_ID, CORRELATION_ID = "$.mid", "$.cid"
# Of an input's system properties these go on; the others are the hub's, and made anew.
_KEPT = {MESSAGE_ID, CORRELATION_ID, "$.ct", "$.ce"}
# What IoT Hub takes as a message's id.
_LONGEST_ID = 128
_ID = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}")
_LONGEST_ERROR = 512
# Properties are part of the topic, of which MQTT takes 65,535 bytes; the rest is the names of device and module.
LONGEST_PROPERTIES = 65_535 - 1024
# Of a result that goes without the properties that its message came with.
_CUT = "propertiesCut"
# What IoT Hub and edgeHub take as a message, in bytes, body and properties together.
_LARGEST = 256 * 1024
_TOO_LARGE = 413
_INPUT_PARTS = 7
_HASHES = 2**32
_log = logging.getLogger("slipway")


def from_topic(topic: str, body: bytes) -> Message:
    """Make a message of what came.

    Args:
        topic: `devices/DEVICE/modules/MODULE/inputs/INPUT/PROPERTIES`.
        body: Its body.
    """
    parts = topic.split("/", _INPUT_PARTS - 1)
    properties: dict[str, str] = {}
    for pair in parts[_INPUT_PARTS - 1].split("&") if len(parts) == _INPUT_PARTS else ():
        name, _, value = pair.partition("=")
        if name := unquote(name):
            properties[name] = unquote(value)
    properties = {name: value for name, value in properties.items() if not name.startswith("$.") or name in _KEPT}
    # Made where there is none, so that what is scored twice after a crash is sent with the same id.
    message_id = properties.get(MESSAGE_ID) or str(uuid.uuid4())
    return Message(message_id, unquote(parts[_INPUT_PARTS - 2]), properties, body, Rank.INPUT)


def scored(message: Message, answer: bytes, tuning: Tuning, score_path: str, about: dict[str, str]) -> Message | None:
    """Make a result of a message that was scored.

    Args:
        message: What was scored.
        answer: What run() returned, as JSON.
        tuning: The threshold, and the share to be sent.
        score_path: Where in the answer the score is.
        about: Properties that every result has.

    Returns:
        The result; None for one that is not to be sent.
    """
    score = highest(answer, score_path) if tuning.threshold is not None else None
    is_alert = score is not None and tuning.threshold is not None and score >= tuning.threshold
    # By its id, so that a message that is scored again meets the same fate.
    if not is_alert and zlib.crc32(message.id.encode()) >= tuning.sampling * _HASHES:
        return None
    output, rank = (ALERTS, Rank.ALERT) if is_alert else (SCORES, Rank.TELEMETRY)
    result = _result(message, output, rank, answer, {**about, "alert": "true" if is_alert else "false"})
    if (size := _size(result)) > _LARGEST:
        # The hub would end the connection, each time that it is sent.
        return failed(message, _TOO_LARGE, f"the answer has {size} bytes with its properties; {_LARGEST} can be", about)
    return result


def failed(message: Message, status: int, error: str, about: dict[str, str]) -> Message:
    """Make a result of a message that could not be scored: the message itself, with the reason.

    Args:
        message: What could not be scored.
        status: The HTTP status that a request would have been answered with.
        error: The reason.
        about: Properties that every result has.
    """
    # A file's name, for one, may have what no text on the wire can have.
    told = error[:_LONGEST_ERROR].encode("utf-8", "replace").decode()
    reason = {**about, "alert": "false", "status": str(status), "error": told}
    result = _result(message, ERRORS, Rank.TELEMETRY, message.body, reason)
    return result if _size(result) <= _LARGEST else replace(result, body=b"")


def _result(message: Message, output: str, rank: Rank, body: bytes, properties: dict[str, str]) -> Message:
    kept = {name: value for name, value in message.properties.items() if name not in _KEPT}
    kind = {"$.ct": message.properties.get("$.ct", "")} if output == ERRORS else {"$.ct": "application/json"}
    system = {CORRELATION_ID: message.properties.get(CORRELATION_ID) or message.id, "$.ce": "utf-8", **kind}
    own_id = f"{properties['model']}:{message.id}"
    if not _ID.fullmatch(own_id):
        own_id = hashlib.sha256(own_id.encode()).hexdigest()
    result = Message(own_id, output, {**kept, **properties, **system, MESSAGE_ID: own_id}, body, rank)
    if (length := properties_length(result)) <= LONGEST_PROPERTIES:
        return result
    # An alert, say, is worth more than what it came with; and no connection would ever take it whole.
    _log.error(
        "message %s: its result goes without its properties, which have %d bytes; %d can be sent",
        message.id[:_LONGEST_ID],
        length,
        LONGEST_PROPERTIES,
    )
    cid = message.id if _ID.fullmatch(message.id) else own_id
    own = {CORRELATION_ID: cid, "$.ce": "utf-8", MESSAGE_ID: own_id, _CUT: "true"}
    return Message(own_id, output, {**properties, **own}, body, rank)


def is_cut(message: Message) -> bool:
    """Tell whether a result goes without the properties that its message came with."""
    return _CUT in message.properties


def properties_length(message: Message) -> int:
    """Return how many bytes of a topic a message's properties take, with the output's name."""
    pairs = {**message.properties, "$.on": message.endpoint}.items()
    return sum(len(quote(name, safe="")) + len(quote(value, safe="")) + 2 for name, value in pairs)


def _size(message: Message) -> int:
    return len(message.body) + sum(len(f"{name}{value}".encode()) for name, value in message.properties.items())


def highest(answer: bytes, path: str) -> float | None:
    """Find the highest score in an answer.

    Args:
        answer: JSON.
        path: Names of keys, with dots between; lists on the way are looked through.

    Returns:
        The score; None where there is no number.
    """
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    highest_yet: float | None = None
    # Not by calls: an answer may be nested deeper than Python's stack is.
    left: list[tuple[Any, list[str]]] = [(value, path.split("."))]
    while left:
        value, keys = left.pop()
        if isinstance(value, list):
            left += [(one, keys) for one in value]
        elif isinstance(value, dict):
            if keys and keys[0] in value:
                left.append((value[keys[0]], keys[1:]))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            highest_yet = value if highest_yet is None else max(highest_yet, value)
    return highest_yet
