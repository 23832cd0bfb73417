"""`check`: an image whose model cannot answer its own sample is not built."""

from __future__ import annotations

import json

import pytest

from tests.unit.scoring_harness import environment, run, write

DOUBLE = """
    import json

    def init():
        print("init was called")

    def run(data):
        return {"doubled": [2 * number for number in json.loads(data)["numbers"]]}
    """
NUMBERS = {"type": "array", "items": {"type": "number"}}
SCHEMA = {
    "input": {"type": "object", "required": ["numbers"], "properties": {"numbers": NUMBERS}},
    "output": {"type": "object", "required": ["doubled"], "properties": {"doubled": NUMBERS}},
}


def check(folder, script=DOUBLE, sample='{"numbers": [1, 2]}', schema=None, **variables):
    write(folder, "score.py", script)
    if sample is not None:
        write(folder, "sample.json", sample)
        variables["SLIPWAY_SAMPLE"] = "sample.json"
    if schema is not None:
        write(folder, "schema.json", schema if isinstance(schema, str) else json.dumps(schema))
        variables["SLIPWAY_SCHEMA"] = "schema.json"
    return run("check", environment(folder, **variables))


def test_the_answer_is_printed_as_one_line_of_json(tmp_path):
    done = check(tmp_path, schema=SCHEMA)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["init was called", 'check: {"doubled":[2,4]}']


def test_the_answer_is_written_where_asked(tmp_path):
    out = tmp_path / "answer.json"
    done = check(tmp_path, SLIPWAY_CHECK_OUT=str(out))

    assert done.returncode == 0
    assert out.read_text() == '{"doubled":[2,4]}\n'


def test_nothing_is_written_where_the_check_fails(tmp_path):
    out = tmp_path / "answer.json"
    done = check(tmp_path, sample="[]", SLIPWAY_CHECK_OUT=str(out))

    assert done.returncode == 1
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    done = check(tmp_path, SLIPWAY_CHECK_OUT=str(tmp_path / "none" / "answer.json"))

    assert done.returncode == 1
    assert "none/answer.json (SLIPWAY_CHECK_OUT): No such file or directory" in done.stderr


def test_without_a_sample_the_model_is_loaded_only(tmp_path):
    done = check(tmp_path, sample=None)

    assert done.returncode == 0
    assert "init was called" in done.stdout
    assert "no sample was given" in done.stdout
    assert "check: " not in done.stdout


def test_a_failing_script_shows_its_traceback_without_the_runtimes_frames(tmp_path):
    done = check(tmp_path, sample='{"wrong": []}')

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert [line for line in done.stderr.splitlines() if line.startswith("  File ")] == [
        f'  File "{tmp_path}/score.py", line 8, in run'
    ]
    assert done.stderr.splitlines()[-1] == "check failed: KeyError: 'numbers' (score.py, line 8)"


def test_the_causes_of_a_failure_are_shown_without_the_runtimes_frames_too(tmp_path):
    script = """
        def init():
            try:
                {}["key"]
            except KeyError as error:
                raise RuntimeError("no model") from error

        def run(data):
            pass
        """
    done = check(tmp_path, script)

    assert "KeyError: 'key'" in done.stderr
    assert "The above exception was the direct cause" in done.stderr
    frames = [line for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert len(frames) == 2
    assert all("score.py" in frame for frame in frames)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ('{"numbers": ["a"]}', 'the sample does not fit schema.json: data.numbers[0] must be number, given "a"'),
        ('{"number": []}', "the sample does not fit schema.json: data must contain ['numbers'] properties"),
        ("not json", "the sample is not JSON"),
    ],
)
def test_a_sample_that_does_not_fit_the_schema_is_told_before_the_model_is_loaded(tmp_path, sample, message):
    done = check(tmp_path, sample=sample, schema=SCHEMA)

    assert done.returncode == 1
    assert message in done.stderr
    assert "init was called" not in done.stdout


def test_an_answer_that_does_not_fit_the_schema_fails(tmp_path):
    done = check(tmp_path, DOUBLE.replace("2 * number", "str(number)"), schema=SCHEMA)

    assert done.returncode == 1
    assert "the sample's answer does not fit schema.json: data.doubled[0] must be number" in done.stderr


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "schema.json: cannot be read as JSON"),
        ("[]", "expected an object with 'input' and 'output'"),
        ('{"type": "object"}', "it has the keys 'type'"),
        ('{"input": {"type": "nothing"}}', "the JSON Schema of 'input' cannot be used"),
        ('{"input": {"$ref": "http://127.0.0.1:9/x.json"}}', "a schema has to be complete in itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told(tmp_path, schema, message):
    done = check(tmp_path, schema=schema)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_sample_is_named(tmp_path):
    write(tmp_path, "score.py", DOUBLE)
    done = run("check", environment(tmp_path, SLIPWAY_SAMPLE="none.json"))

    assert done.returncode == 1
    assert f"the sample {tmp_path}/none.json cannot be read" in done.stderr


def test_an_answer_without_a_json_form_names_its_type(tmp_path):
    done = check(tmp_path, "def init(): pass\ndef run(data): return {'a': {1, 2}}\n")

    assert done.returncode == 1
    assert done.stderr == "check failed: run() returned something of type set, which has no JSON form\n"


def test_an_answer_that_says_it_failed_fails_the_check(tmp_path):
    script = """
        class Response:
            status_code, message = 422, "no such flower"

        def init():
            pass

        def run(data):
            return Response()
        """
    done = check(tmp_path, script)

    assert done.returncode == 1
    assert "run() answered the sample with status 422: no such flower" in done.stderr


def test_an_answer_that_is_no_json_is_described(tmp_path):
    script = """
        class Image:
            status_code, message, response_headers = 200, b"\\x89PNG", {"Content-Type": "image/png"}

        def init():
            pass

        def run(data):
            return Image()
        """
    done = check(tmp_path, script)

    assert done.returncode == 0
    assert done.stdout == 'check: {"status":200,"content-type":"image/png","bytes":4}\n'


def test_an_async_script_is_checked(tmp_path):
    script = """
        import asyncio

        async def init():
            global lock
            lock = asyncio.Lock()

        async def run(data):
            async with lock:
                return {"ok": True}
        """
    assert check(tmp_path, script).stdout == 'check: {"ok":true}\n'


def test_threads_that_a_script_leaves_do_not_keep_the_build(tmp_path):
    script = """
        import threading, time

        def init():
            threading.Thread(target=time.sleep, args=(3600,)).start()

        def run(data):
            return 1
        """
    assert check(tmp_path, script).stdout == "check: 1\n"


@pytest.mark.parametrize("where", ["init", "run"])
def test_a_script_that_ends_its_process_with_success_fails_the_check(tmp_path, where):
    bodies = {"init": "pass", "run": "return 1"} | {where: "os._exit(0)"}
    script = f"import os\ndef init():\n    {bodies['init']}\ndef run(data):\n    {bodies['run']}\n"
    done = check(tmp_path, script=script)
    assert done.returncode == 1
    assert "ended itself with code 0 before the check was done" in done.stderr


def test_a_script_that_crashes_is_told_with_its_signal(tmp_path):
    script = "import os, signal\ndef init():\n    os.kill(os.getpid(), signal.SIGKILL)\ndef run(data):\n    return 1\n"
    done = check(tmp_path, script=script)
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr


def test_a_script_that_hangs_is_ended_with_the_place_where_it_was(tmp_path):
    script = "import time\ndef init():\n    time.sleep(1000)\ndef run(data):\n    return 1\n"
    done = check(tmp_path, script=script, SLIPWAY_CHECK_SECONDS="1")
    assert done.returncode == 1
    assert "not done after 1 s" in done.stderr
    assert "score.py" in done.stderr
    assert "line 3 in init" in done.stderr


def test_a_line_that_would_jam_the_builds_log_is_cut(tmp_path):
    script = "def init():\n    print('x' * 3_000_000)\ndef run(data):\n    return 'a' * 3_000_000\n"
    done = check(tmp_path, script=script)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) < 5000
    assert "the rest of the line is not shown" in done.stdout


def test_a_process_that_a_script_leaves_does_not_keep_the_build(tmp_path):
    script = "import subprocess\ndef init():\n    subprocess.Popen(['sleep', '300'])\ndef run(data):\n    return 1\n"
    assert check(tmp_path, script=script).returncode == 0
