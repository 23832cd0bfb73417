"""Programs in the foreground: what they are told of an interruption, and how they end."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Counts the interruptions that reach it, and ends by itself once it has seen one and its input says so.
CHILD = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
signal.signal(signal.SIGTERM, lambda *_: seen.append("TERM"))
print("up", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.3)
print("saw", *seen, flush=True)
"""
PARENT = """
import os, sys
from pathlib import Path
from cli.stack.process import run_in_foreground
try:
    print("code", run_in_foreground([sys.executable, "-c", sys.argv[1]], cwd=Path(), env=os.environ))
except KeyboardInterrupt:
    print("interrupted")
"""


def _parent(child, **options):
    command = [sys.executable, "-c", PARENT, child]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_programs_exit_code_is_returned(code, capfd):
    assert _parent(f"raise SystemExit({code})").wait(120) == 0
    assert capfd.readouterr().out == f"code {code}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_a_signal_is_passed_on_once_and_the_end_is_waited_for(number):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    parent = _parent(CHILD, **pipes, text=True, start_new_session=True)
    assert parent.stdout.readline() == "up\n"
    # To the whole group, as `timeout` and some runners send it: the program must not see it twice.
    os.killpg(parent.pid, number)
    assert parent.stdout.read() == f"saw {number.name.removeprefix('SIG')}\ninterrupted\n"
    assert parent.wait(120) == 0


def test_at_a_terminal_ctrl_c_reaches_the_program_once():
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", PARENT, CHILD])  # noqa: S606 - no shell is wanted
    seen = b""
    while b"up" not in seen:
        seen += os.read(terminal, 100)
    os.write(terminal, b"\x03")
    try:
        while data := os.read(terminal, 100):
            seen += data
    except OSError:
        # The other side is closed: it has ended.
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    assert seen.replace(b"^C", b"").split() == [b"up", b"saw", b"INT", b"interrupted"]


def test_an_output_that_is_full_is_told_when_the_program_has_come_to_its_end(tmp_path):
    """Whoever gives up before leaves the engine running, and its lock with it."""
    done = tmp_path / "done"
    code = "import sys, time; print('a line', flush=True); time.sleep(0.5); open(sys.argv[1], 'w').close()"
    parent = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from cli.errors import CliError\n"
        "from cli.output import outlast_readers\n"
        "from cli.stack.process import run_in_foreground\n"
        "outlast_readers()\n"
        "try:\n"
        "    child = [sys.executable, '-c', *sys.argv[1:]]\n"
        "    run_in_foreground(child, cwd=Path(), env=os.environ, shorten=lambda line: line)\n"
        "except CliError as error:\n"
        "    print(error, Path(sys.argv[2]).exists(), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", parent, code, str(done)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command,
            env=env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert "The output cannot be written: No space left on device." in ended.stderr
    assert ended.stderr.rstrip().endswith("with code 0. True")
