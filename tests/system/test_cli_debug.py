"""`slipway debug`: a debugger over its own protocol (DAP), attached to a script in a running container.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

import json
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from tests.system.checkout import ROOT, Project, free_port

pytestmark = [pytest.mark.engine, pytest.mark.system]

SCRIPT = '''"""Adds up what it is given."""
import json


def init():
    global start
    start = 40


def run(data):
    numbers = json.loads(data)
    total = start + sum(numbers)
    return {"total": total}
'''
INIT_LINE, RUN_LINE = 7, 13


class Debugger:
    """A debugger's side of the protocol, as an editor speaks it."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._events = []

    def send(self, command, **arguments):
        self._number += 1
        body = json.dumps({"seq": self._number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def request(self, command, **arguments):
        number = self.send(command, **arguments)
        return self.response(number)

    def response(self, number):
        while True:
            message = self._read()
            if message["type"] == "event":
                self._events.append(message)
            elif message.get("request_seq") == number:
                assert message["success"], message
                return message.get("body")

    def event(self, name):
        for message in self._events:
            if message["event"] == name:
                self._events.remove(message)
                return message.get("body")
        while True:
            message = self._read()
            if message["type"] == "event" and message["event"] == name:
                return message.get("body")
            if message["type"] == "event":
                self._events.append(message)

    def attach(self, root, script, line):
        self.request("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        mappings = [{"localRoot": str(root), "remoteRoot": "/mnt/project"}]
        attached = self.send("attach", justMyCode=True, pathMappings=mappings)
        self.event("initialized")
        found = self.request("setBreakpoints", source={"path": str(script)}, breakpoints=[{"line": line}])
        assert found["breakpoints"][0]["verified"], found
        self.request("configurationDone")
        self.response(attached)

    def stopped_at(self):
        """Wait for a halt; return its thread and the innermost frame."""
        stopped = self.event("stopped")
        assert stopped["reason"] == "breakpoint"
        frames = self.request("stackTrace", threadId=stopped["threadId"])["stackFrames"]
        return stopped["threadId"], frames[0]

    def value(self, frame, expression):
        return self.request("evaluate", expression=expression, frameId=frame["id"])["result"]

    def close(self):
        self._file.close()
        self._socket.close()

    def _read(self):
        length = 0
        while (line := self._file.readline().strip()) or not length:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
            assert line, "the adapter closed the connection"
        return json.loads(self._file.read(length))


class Debugging:
    """A `slipway debug` that runs."""

    def __init__(self, project, *options):
        self.project = project
        self.debug_port, self.port = free_port(), free_port()
        ports = ["--debug-port", str(self.debug_port), "--port", str(self.port)]
        self.process = subprocess.Popen(
            project.command("debug", "alpha", *ports, *options),
            cwd=project.folder,
            env=project.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = []
        threading.Thread(target=self._read, daemon=True).start()
        project.wait_for(lambda: any("A debugger can attach" in line for line in self.printed))

    def _read(self):
        for line in self.process.stdout:
            self.printed.append(line)

    def answers(self):
        """Ask the model; what it answers is put into the list that is returned, when it does."""
        answers = []

        def ask():
            for _ in range(100):
                try:
                    answer = httpx.post(f"http://127.0.0.1:{self.port}/score", content=b"[1, 1]", timeout=60)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    answers.append(answer.json())
                    return
                time.sleep(0.1)

        threading.Thread(target=ask, daemon=True).start()
        return answers

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path_factory.mktemp("debug") / "checkout")
    made.model("alpha")
    made.script("alpha").write_text(SCRIPT)
    made.run("up")
    yield made
    made.close()


def _debug_containers(project):
    return project.docker.containers.list(
        all=True, filters={"label": f"io.slipway.debug={project.stack}/{project.stack}"}
    )


def test_a_breakpoint_of_the_checkouts_script_halts_a_request_in_the_container(project):
    running = Debugging(project)
    debugger = Debugger(running.debug_port)
    try:
        debugger.attach(project.folder, project.script("alpha"), RUN_LINE)
        answers = running.answers()
        thread, frame = debugger.stopped_at()
        assert frame["source"]["path"] == str(project.script("alpha"))
        assert (frame["name"], frame["line"]) == ("run", RUN_LINE)
        assert debugger.value(frame, "total") == "42"
        assert answers == []
        debugger.request("setBreakpoints", source={"path": str(project.script("alpha"))}, breakpoints=[])
        debugger.request("continue", threadId=thread)
        project.wait_for(lambda: answers)
        assert answers == [{"total": 42}]
        # The deployed one is untouched.
        assert project.containers()["alpha"].status == "running"
    finally:
        debugger.close()
        code = running.end()
    assert code == 130
    project.wait_for(lambda: not _debug_containers(project))


def test_init_can_be_debugged_when_the_container_waits_for_the_debugger(project):
    running = Debugging(project, "--wait")
    debugger = Debugger(running.debug_port)
    try:
        debugger.attach(project.folder, project.script("alpha"), INIT_LINE)
        thread, frame = debugger.stopped_at()
        assert (frame["name"], frame["line"]) == ("init", INIT_LINE)
        debugger.request("continue", threadId=thread)
        answers = running.answers()
        project.wait_for(lambda: answers)
        assert answers == [{"total": 42}]
    finally:
        debugger.close()
        # As an editor ends its task.
        running.end(signal.SIGTERM)
    project.wait_for(lambda: not _debug_containers(project))


def test_a_debug_container_is_as_confined_as_the_deployed_one_and_on_loopback_only(project):
    running = Debugging(project)
    try:
        [container] = _debug_containers(project)
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert {bound[0]["HostIp"] for bound in host["PortBindings"].values()} == {"127.0.0.1"}
        folders = [mount for mount in container.attrs["Mounts"] if mount["Type"] == "bind"]
        assert len(folders) > 0
        assert not any(mount["RW"] for mount in folders)
        assert container.attrs["Config"]["User"] == "65532:65532"
        # It is no part of the stack.
        assert set(project.containers()) == {"alpha"}
        assert len(json.loads(project.run("status", "--json").stdout)["models"]) == 1
    finally:
        running.end()


def test_a_port_that_is_taken_is_named_and_nothing_stays(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        failed = project.run("debug", "alpha", "--debug-port", port, check=False)
    assert failed.returncode == 1
    assert port in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not _debug_containers(project)
