"""The models' samples, and what the deployed models answer to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rich.text import Text

from cli.errors import CliError
from cli.placements.host_names import missing_name, wrong_name
from cli.placements.service import score
from cli.placements.states import ASLEEP, GONE
from cli.table import console

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cli.placements.keys import Keys
    from cli.placements.placement import Placement
    from manifest import Manifest, Model

_SECONDS = 60.0
_AT_ONCE = 8
_LONGEST = 100


def sample_file(model: Model, root: Path) -> Path | None:
    """Return the file with a model's sample, if it has one.

    Args:
        model: The model as the manifest has it.
        root: The project's folder.
    """
    return root / model.folder / model.scoring.sample if model.scoring.sample else None


def gone(placement: Placement) -> str | None:
    """Return why a model is not asked of which nothing is there: what answers in its place would be another's."""
    if placement.state not in GONE:
        return None
    return f"{placement.container or 'what serves it'} is {placement.state}"


def score_samples(
    placements: Sequence[Placement], manifest: Manifest, root: Path, keys: Keys, seconds: float = _SECONDS
) -> bool:
    """Have every deployed model score its sample, and print what each answers.

    Args:
        placements: What is deployed; what has no endpoint is left out.
        manifest: The models.
        root: The project's folder.
        keys: The models' keys.
        seconds: How long to wait for each answer.

    Returns:
        Whether all of them answered that are awake and can be found.
    """
    files = {model.name: sample_file(model, root) for model in manifest.models}
    asleep = [one for one in placements if one.state == ASLEEP]
    # The first deployment of a model with a name of one's own: nothing is wrong with the model.
    unnamed = [(one, why) for one in placements if (why := missing_name(one))]
    missing = [(one, why) for one in placements if (why := gone(one))]
    left_out = [*asleep, *(one for one, _ in (*unnamed, *missing))]
    can_answer = [one for one in placements if one.endpoint and one not in left_out]
    asked = [(one, file) for one in can_answer if (file := files.get(one.model))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda pair: _answer(pair[0], pair[1], keys, seconds), asked))
    width = max((len(one.model) for one, _ in asked), default=0)
    out = console()
    for (placement, file), (succeeded, text) in zip(asked, answers, strict=True):
        line = Text(f"{placement.model:<{width}}   {file.name} ")
        line.append("-> " if succeeded else "failed: ", style="green" if succeeded else "red")
        line.append(text)
        out.print(line, soft_wrap=True)
    for one in can_answer:
        if not files.get(one.model):
            to_do = f"slipway score {one.model} --data FILE"
            out.print(f"{one.model} was not asked: it has no sample in models.yaml; {to_do}", soft_wrap=True)
    for one, why in missing:
        out.print(f"{one.model} was not asked: {why}.", soft_wrap=True)
    for one, why in unnamed:
        out.print(f"{one.model} was not asked: {why}", soft_wrap=True)
    for one in asleep:
        out.print(f"{one.model} is asleep, and a request would not wake it up: it was not asked.", soft_wrap=True)
    return not missing and all(succeeded for succeeded, _ in answers)


def _answer(placement: Placement, file: Path, keys: Keys, seconds: float) -> tuple[bool, str]:
    try:
        answer = score(placement.endpoint or "", file.read_bytes(), seconds, keys.of(placement))
    except CliError as error:
        return False, " ".join(filter(None, (str(error), wrong_name(placement))))
    except OSError as error:
        return False, f"{file} cannot be read: {error.strerror or error}"
    if answer.is_success:
        return True, _short(answer.text)
    return False, _short(f"{answer.status} {answer.message}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4]} ..."
