"""Previews and drift as Markdown: the summary first, what matters most next, and never more than a comment may hold.

Every text that is not ours stands in a code span or block, without the characters that could end it: there neither
Markdown nor HTML counts, nobody is mentioned, and nothing is linked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipelines.changes import ACTIONS, Change, ModelChange, Preview

if TYPE_CHECKING:
    from collections.abc import Sequence

PREVIEW_MARKER = "<!-- slipway:preview -->"
# GitHub takes 65,536 characters. Counted in bytes here, which are never fewer.
LIMIT = 65_000
_FOR_THE_END = 1_500
_MOST_NAMES = 20
# Those that take something away stand out.
_WEIGHTY = ("deleted", "replaced")
_MEGABYTE = 1_000_000
_HEAD = "| What | Model | Target | Version | Why | Image size |\n|---|---|---|---|---|---|\n"


def drift_marker(stack: str) -> str:
    """Return what an issue about a stack's drift begins with."""
    return f"<!-- slipway:drift {stack} -->"


def code(text: str) -> str:
    """Return a text as a code span that also a table's cell may hold; nothing in it counts as Markdown or HTML."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    # A pipe would end the cell, a backtick the span; a backslash counts inside of tables.
    plain = " ".join(plain.replace("`", "'").replace("|", "¦").replace("\\", "/").split())
    return f"`{plain}`" if plain else ""


def block(lines: Sequence[str]) -> str:
    """Return lines as a code block."""
    plain = ("".join(one if one.isprintable() else " " for one in line).replace("`", "'") for line in lines)
    return "```text\n" + "\n".join(plain) + "\n```\n"


def comment(
    previews: Sequence[Preview], *, commit: str, run: str, notes: Sequence[str] = (), limit: int = LIMIT
) -> str:
    """Return a pull request's comment.

    Args:
        previews: What each stack's preview found.
        commit: The commit that was previewed.
        run: The address of the run, for what is left out.
        notes: Sentences of ours to begin with.
        limit: The most bytes.
    """
    parts = [f"{PREVIEW_MARKER}\n## Slipway preview\n"]
    parts += [f"> {note}\n" for note in notes]
    parts += [_summary(one) for one in previews]
    end = f"\n<sub>Commit {code(commit[:10])} · [run]({run})</sub>\n"
    return _within(parts, previews, end, run, limit)


def drift_issue(preview: Preview, *, run: str, limit: int = LIMIT) -> str:
    """Return the body of an issue about what is not as it was deployed; the rest as in `comment`."""
    drifted = [one for one in preview.changes if one.action != "unchanged"]
    parts = [
        f"{drift_marker(preview.stack)}\n",
        f"What runs in {code(preview.stack)} is not what was deployed. Places that differ: {len(drifted)}.\n",
        f"`slipway up --stack {preview.stack} -- --refresh` brings it back; this issue closes when nothing differs.\n",
    ]
    return _within(parts, [preview], f"\n<sub>[Run]({run}), kept current by each check</sub>\n", run, limit)


def _summary(preview: Preview) -> str:
    if preview.failed:
        return f"**{code(preview.stack)}**: **the preview failed**\n"
    counts = Counter(one.action for one in preview.changes if one.target != "environment")
    told = " · ".join(f"{counts[action]} {action}" for action in ACTIONS if counts[action])
    restarts = sorted({one.model for one in preview.changes if one.restarts})
    text = f"**{code(preview.stack)}**: {told or 'nothing is deployed'}"
    if set(counts) <= {"unchanged"}:
        text += "; nothing changes"
    if restarts:
        rest = f" and {len(restarts) - _MOST_NAMES} more" if len(restarts) > _MOST_NAMES else ""
        text += f"  \nRestarts: {', '.join(map(code, restarts[:_MOST_NAMES]))}{rest}"
    return f"{text}\n"


def _within(parts: list[str], previews: Sequence[Preview], end: str, run: str, limit: int) -> str:
    """Add each stack's details as far as they fit, and say what is left out."""
    text = "\n".join(parts)
    for number, preview in enumerate(previews):
        # What one stack does not need is the next one's.
        room = (limit - _FOR_THE_END - _size(text + end)) // (len(previews) - number)
        text += _failure(preview, room) if preview.failed else _details(preview, room, run)
    return text + end


def _failure(preview: Preview, room: int) -> str:
    head = f"\n### {code(preview.stack)}\n\n"
    lines = list(preview.failed)
    while lines and _size(head + block(lines)) > room:
        lines.pop()
    return head + (block(lines) if lines else "The reason is too long for a comment.\n")


def _details(preview: Preview, room: int, run: str) -> str:
    changed = sorted(
        (one for one in preview.changes if one.action != "unchanged"),
        key=lambda one: (ACTIONS.index(one.action), one.model, one.target),
    )
    if not changed:
        return ""
    text = f"\n### {code(preview.stack)}\n\n{_HEAD}"
    for number, change in enumerate(changed):
        row = _row(change, preview.models.get(change.model, ModelChange()))
        if _size(text + row) > room:
            counts = Counter(one.action for one in changed[number:])
            told = ", ".join(f"{counts[action]} {action}" for action in ACTIONS if counts[action])
            left = _count(len(changed) - number, "more change")
            return f"{text}\n… and {left}, left out for a comment's length: {told}. [All of them]({run})\n"
        text += row
    return text


def _row(change: Change, model: ModelChange) -> str:
    is_image = change.target == "image"
    cells = [
        f"**{change.action}**" if change.action in _WEIGHTY else change.action,
        code(change.model),
        code(change.target),
        _version(model),
        ", ".join([*map(code, change.reasons), *(["restarts"] if change.restarts else [])]),
        # Where an image is not built, as in a stack that is promoted to, the target's row has the size.
        _sizes(model) if is_image or (change.restarts and model.size_becomes and model.size_was) else "",
    ]
    return "| " + " | ".join(cells) + " |\n"


def _version(model: ModelChange) -> str:
    if model.was == model.becomes:
        return code(model.becomes or "")
    return " → ".join(code(one) for one in (model.was, model.becomes) if one)


def _sizes(model: ModelChange) -> str:
    was, becomes = model.size_was, model.size_becomes
    if becomes is None:
        return f"{_megabytes(was)} → known once built" if was is not None and model.becomes is not None else ""
    if was is None:
        return _megabytes(becomes)
    return f"{_megabytes(was)} → {_megabytes(becomes)} ({(becomes - was) / _MEGABYTE:+.1f} MB)"


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:.1f} MB"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(text: str) -> int:
    return len(text.encode())
