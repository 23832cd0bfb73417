"""Loading a scoring script: importing it, and finding out how its run() wants to be called."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from dataclasses import dataclass
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scoring.calling import Calling, calling_of, function_of, marks
from scoring.calling.signature import ScriptError as ScriptError  # noqa: PLC0414 - it is this module's to raise, too

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

_STANDARD_LIBRARY = Path(inspect.__file__).parent
_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Script:
    """A loaded scoring script.

    Attributes:
        init: Its init().
        run: What to call with the arguments that `calling` gives: its run(), without what converts them.
        calling: How run() wants to be called.
        is_async: Whether run() is a coroutine function.
        batching: What @batched says, with `max_size` in requests and `max_wait_ms`; None without it.
        schema: What @input_schema and @output_schema say, with `inputs` and `output`; None without them.
    """

    init: Callable[[], Any]
    run: Callable[..., Any]
    calling: Calling
    is_async: bool
    batching: Any
    schema: Any


def load_script(path: Path, root: Path) -> Script:
    """Import a script as a new module.

    Args:
        path: The script.
        root: The folder of its code.

    Raises:
        ScriptError: There is no script, or it lacks init() or run(), or run() cannot be called.
        BaseException: What the script itself raised.
    """
    if not path.is_file():
        raise ScriptError(f"there is no entry script {path}: set AZUREML_ENTRY_SCRIPT to its path below {root}")
    return inspect_script(_import(path), path.name)


@contextlib.contextmanager
def new_modules(root: Path) -> Iterator[None]:
    """Have what is imported from below a folder loaded anew while the block runs.

    An earlier load of the same script keeps its own modules, and goes on working. When the block fails, they are put
    back for what that script imports later.

    Args:
        root: The folder of the code.
    """
    earlier = _take_out_modules(root)
    try:
        yield
    except BaseException:
        _take_out_modules(root)
        sys.modules.update(earlier)
        raise


def inspect_script(module: ModuleType, name: str) -> Script:
    """Find init() and run() of a script's module.

    Args:
        module: The module.
        name: The script's name, for messages.

    Raises:
        ScriptError: One is missing or cannot be called as the contract has it.
    """
    init = getattr(module, "init", None)
    # Some of Azure's tools wrap the script in a driver, whose init() does more and whose run() only forwards.
    driven = getattr(module, "driver_module", None)
    run = getattr(driven if isinstance(driven, ModuleType) else module, "run", None)
    for function, function_name in ((init, "init"), (run, "run")):
        if not callable(function):
            what = "is not a function" if function is not None else "is missing"
            raise ScriptError(f"{name}: {function_name}() {what}; a scoring script defines init() and run(data)")
    return _inspect_run(init, run, name)  # type: ignore[arg-type]  # both were found to be callable


def is_installed(place: Path) -> bool:
    """Return whether a file is a package's or Python's own, and not the script's."""
    return not _INSTALLED.isdisjoint(place.parts) or place.is_relative_to(_STANDARD_LIBRARY)


def watch_source(root: Path) -> None:
    """Have modules below a folder always compiled from their source.

    Python takes a cached .pyc for current when size and whole second of the source agree, as they may after
    two quick edits.

    Args:
        root: The folder whose modules are edited while they are in use.
    """

    def hook(folder: str) -> FileFinder:
        if not Path(folder).is_relative_to(root):
            raise ImportError
        return FileFinder(folder, (_SourceLoader, [".py"]), (ExtensionFileLoader, EXTENSION_SUFFIXES))

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


class _SourceLoader(SourceFileLoader):
    """Compiles the source each time."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import(path: Path) -> ModuleType:
    importlib.invalidate_caches()
    # Under its own name, so that helper modules and pickles find it, unless that would hide another module.
    name = "entry_module" if path.stem in sys.modules else path.stem
    loader = _SourceLoader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _take_out_modules(root: Path) -> dict[str, ModuleType]:
    """Remove the modules that came from below a folder; the runtime's too if it has one of that name."""
    taken = {
        name: module
        for name, module in sys.modules.copy().items()
        if _is_below(module, root) or (name.partition(".")[0] == __package__ and _has_module(root, __package__))
    }
    for name in taken:
        sys.modules.pop(name, None)
    return taken


def _is_below(module: ModuleType, root: Path) -> bool:
    places = [getattr(module, "__file__", None), *_package_folders(module)]
    return any(isinstance(place, str) and _is_source(Path(place), root) for place in places)


def _is_source(place: Path, root: Path) -> bool:
    """Whether it is the script's: a virtual environment may lie there too, and cannot be loaded twice."""
    return place.is_relative_to(root) and not is_installed(place)


def _package_folders(module: ModuleType) -> list[str]:
    try:
        return list(getattr(module, "__path__", ()))
    except Exception:  # noqa: BLE001 - a lazy module may do anything when asked, and is not ours
        return []


def _has_module(root: Path, name: str) -> bool:
    return (root / f"{name}.py").is_file() or (root / name / "__init__.py").is_file()


def _inspect_run(init: Callable[[], Any], run: Callable[..., Any], name: str) -> Script:
    calling = calling_of(run, name)
    called = function_of(run)
    return Script(
        init=init,
        run=called,
        calling=calling,
        is_async=inspect.iscoroutinefunction(called),
        batching=marks.find(run, marks.BATCHING),
        schema=marks.find(run, marks.SCHEMA),
    )
