"""The runtime's parts that a server does not show well: settings, interrupts, cores, snapshots, modules."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from scoring.interrupts import Interruptible
from scoring.process import available_cpus
from scoring.reload import snapshot
from scoring.script import ScriptError, load_script, new_modules
from scoring.settings import Settings
from scoring.variables import SettingsError
from tests.unit.scoring_harness import PATIENCE_SECONDS, write


def test_settings_without_variables_are_azures_defaults():
    settings = Settings.from_environment({})

    assert settings.script == Path("/var/azureml-app/main.py")
    assert (settings.port, settings.threads, settings.timeout_seconds) == (8080, 1, 3600)
    assert settings.max_body_bytes == 100 * 1024 * 1024
    assert settings.drain_seconds == 20
    assert (settings.reload, settings.development, settings.sample) == (False, False, None)


def test_settings_in_reload_mode_take_the_code_from_the_mounted_folder(tmp_path):
    settings = Settings.from_environment(
        {"AML_APP_ROOT": "/image", "AZUREML_ENTRY_SCRIPT": "a/score.py", "SLIPWAY_RELOAD": str(tmp_path)}
    )
    assert settings.root == tmp_path
    assert settings.script == tmp_path / "a" / "score.py"


@pytest.mark.parametrize("value", ["-1", "1.5", "abc", "1_000", "٣", "65536"])
def test_a_port_that_is_none_is_named_with_what_is_allowed(value):
    with pytest.raises(SettingsError, match="allowed is a whole number from 0 to 65535"):
        Settings.from_environment({"SERVER_PORT": value})


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path) == cores


@pytest.mark.parametrize("files", [{}, {"cpu.max": "max 100000\n"}, {"cpu/cpu.cfs_quota_us": "-1\n"}])
def test_without_a_quota_the_affinity_counts(tmp_path, monkeypatch, files):
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0, 3, 5})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path) == 3


class Worker:
    """A thread that does interruptible work, one token after the other."""

    def __init__(self, work, tokens):
        self.results = {}
        self.ready = threading.Event()
        self.escaped = None
        self.thread = threading.Thread(target=self._live, args=(work, tokens), daemon=True)
        self.thread.start()
        self.ready.wait(PATIENCE_SECONDS)

    def _live(self, work, tokens):
        self.worker = Interruptible()
        self.ready.set()
        try:
            for token in tokens:
                self.results[token] = self.worker.run(token, lambda token=token: work(token))
        except BaseException as error:  # noqa: BLE001 - that nothing escapes is what the test is about
            self.escaped = error


def test_endless_work_is_broken_off():
    entered = threading.Event()

    def spin(_token):
        entered.set()
        while True:
            pass

    worker = Worker(spin, ["endless"])
    assert entered.wait(PATIENCE_SECONDS)
    worker.worker.interrupt("endless")
    worker.thread.join(PATIENCE_SECONDS)
    assert worker.results == {"endless": None}


def test_an_interrupt_of_other_work_changes_nothing():
    gate = threading.Event()
    worker = Worker(lambda token: gate.wait(PATIENCE_SECONDS) and token, ["now"])
    worker.worker.interrupt("earlier")
    gate.set()
    worker.thread.join(PATIENCE_SECONDS)
    assert worker.results == {"now": "now"}


def test_interrupts_at_any_moment_never_leave_the_work():
    tokens = range(3000)
    worker = Worker(lambda token: sum(range(50)) and token + 1, tokens)
    # As fast as it can, so that some arrive before, within and after the work of their token.
    while worker.thread.is_alive():
        worker.worker.interrupt(len(worker.results))

    assert worker.escaped is None
    assert list(worker.results) == list(tokens)
    assert all(result in {None, token + 1} for token, result in worker.results.items())


def test_a_snapshot_changes_with_code_and_small_text_only(tmp_path):
    write(tmp_path, "score.py", "1")
    first = snapshot(tmp_path)
    assert len(first) == 1

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("model.onnx", "__pycache__/a.py", ".git/config.py", ".hidden.py"):
        (tmp_path / name).touch()
    assert snapshot(tmp_path) == first

    (tmp_path / "package").mkdir()
    write(tmp_path / "package", "labels.txt", "a")
    assert len(snapshot(tmp_path)) == 2


def test_a_snapshot_of_nothing_is_empty(tmp_path):
    assert snapshot(tmp_path / "none") == frozenset()


def test_a_failed_load_puts_the_modules_of_the_earlier_one_back(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "a_helper.py", "")
    script = write(tmp_path, "a_score.py", "import a_helper\ndef init(): pass\ndef run(data): pass")
    with new_modules(tmp_path):
        load_script(script, tmp_path)
    before = (sys.modules["a_score"], sys.modules["a_helper"])

    write(tmp_path, "a_score.py", "import a_helper, another_helper")
    write(tmp_path, "another_helper.py", "")
    with pytest.raises(ScriptError, match="init"), new_modules(tmp_path):
        load_script(script, tmp_path)

    assert (sys.modules.pop("a_score"), sys.modules.pop("a_helper")) == before
    assert "another_helper" not in sys.modules


def test_installed_packages_below_the_scripts_folder_are_not_loaded_twice(tmp_path, monkeypatch):
    packages = tmp_path / ".venv" / "site-packages"
    packages.mkdir(parents=True)
    write(packages, "an_installed_package.py", "")
    monkeypatch.syspath_prepend(str(packages))
    script = write(tmp_path, "b_score.py", "import an_installed_package\ndef init(): pass\ndef run(data): pass")

    with new_modules(tmp_path):
        load_script(script, tmp_path)
    first = sys.modules["an_installed_package"]
    with new_modules(tmp_path):
        load_script(script, tmp_path)

    assert sys.modules.pop("an_installed_package") is first
    sys.modules.pop("b_score")


def test_a_script_does_not_hide_a_module_of_its_name(tmp_path):
    script = write(tmp_path, "json.py", "def init(): pass\ndef run(data): pass")
    import json  # noqa: PLC0415 - the module that must stay

    with new_modules(tmp_path):
        load_script(script, tmp_path)
    assert sys.modules["json"] is json
    assert sys.modules.pop("entry_module").run
