"""A module on a device: what it adds to the model's own time, messages a second, memory, start; and 50 kills.

    .venv/bin/python bench/edge.py [--messages 3000] [--kills 50]

The module runs on one core, by its real client, against mosquitto and the stand-in of the edge hub on the others; its
script answers at once. What the stand-in takes of the latency is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scoring.edge.store import Message, Rank, Store  # noqa: E402 - behind the path
from tests.system import edge_harness  # noqa: E402 - as above
from tests.system.edge_harness import Device, Module, until  # noqa: E402 - as above

IN = 'FROM /messages/modules/sensor/outputs/readings INTO BrokeredEndpoint("/modules/scorer/inputs/input")'
OUT = "FROM /messages/modules/scorer/outputs/* INTO $upstream"
SCRIPT = "import json\ndef init(): pass\ndef run(data): return json.loads(data)\n"
PACE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=50)
    given = parser.parse_args()
    edge_harness.install()
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        device = Device(Path(folder), ["sensor", "scorer"], {"in": IN, "out": OUT})
        try:
            start(device)
            rate(device, given.messages)
            kills(device, given.kills)
        finally:
            device.close()


def on_one_core(module: Module) -> Module:
    """Start a module, and hold it and its children to one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        return module.start()
    finally:
        os.sched_setaffinity(0, allowed)


def processes(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [parent, *(one for child in children for one in processes(int(child)))]


def memory(module: Module) -> float:
    """Proportional memory of all its processes, in MiB."""
    total = 0
    for process in processes(module.process.pid):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total / 1024


def publish(device: Device, number: int) -> None:
    topic = f"devices/{Device.NAME}/modules/sensor/messages/events/%24.on=readings&%24.mid=r{number}"
    device.hub.take("sensor", topic, json.dumps({"n": number, "score": 0.1}).encode())


def start(device: Device) -> None:
    """Start time, memory, and latency of one message after the other."""
    starts = []
    for round_ in range(3):
        publish(device, -1 - round_)
        began = time.perf_counter()
        module = on_one_core(device.module("scorer", SCRIPT))
        until(lambda: len(device.arrived) > len(starts), lambda: module.log)  # noqa: B023 - of this round
        starts.append(time.perf_counter() - began)
        if len(starts) < 3:
            module.stop()
    print(f"start to the first result: {statistics.median(starts):.2f} s on one core (median of 3)")
    seconds = []
    for number in range(500):
        before = len(device.arrived)
        began = time.perf_counter()
        publish(device, number)
        while len(device.arrived) == before:
            time.sleep(0.0002)
        seconds.append(time.perf_counter() - began)
        time.sleep(PACE)
    seconds.sort()
    print(f"added to the model's time: p50 {seconds[250] * 1e3:.1f} ms, p99 {seconds[495] * 1e3:.1f} ms, hub included")
    print(f"memory: {memory(module):.0f} MiB (PSS of its processes)")
    assert module.stop() == 0


def rate(device: Device, count: int) -> None:
    """From a full store to all acknowledged by the hub."""
    module = device.module("scorer", SCRIPT)
    store = Store(module.store / "messages.db", max_bytes=10**9, max_age_seconds=10**6)
    store.put(
        Message(f"m{n}", "input", {"$.mid": f"m{n}"}, json.dumps({"n": n, "score": 0.1}).encode(), Rank.INPUT)
        for n in range(count)
    )
    store.close()
    on_one_core(module)
    until(lambda: "connected to the hub" in module.log, lambda: module.log)
    began = time.perf_counter()
    address = f"http://127.0.0.1:{module.port}/status"

    def sent() -> int:
        return int(httpx.get(address, timeout=60).json()["edge"]["sent"])

    until(lambda: sent() >= count, lambda: module.log, 300)
    took = time.perf_counter() - began
    print(f"messages: {count / took:.0f} a second, scored and acknowledged one by one, on one core")
    print(f"memory with {count} waiting: {memory(module):.0f} MiB")
    assert module.stop() == 0


def settled(device: Device) -> bool:
    before = len(device.arrived)
    time.sleep(1)
    return len(device.arrived) == before


def kills(device: Device, count: int) -> None:
    """Module and broker killed in turn while messages flow: the module by SIGKILL, the broker by SIGTERM."""
    chance = random.Random(1)  # noqa: S311 - the same kills each time
    until(lambda: device.hub.upstream.count == 0 and settled(device), "all has arrived")
    device.arrived.clear()
    module = device.module("scorer", SCRIPT).start()
    sensor = device.sensor()
    total = count * 60
    try:
        sensor.send(total, per_second=100)
        for kill in range(count):
            time.sleep(chance.uniform(0.2, 0.8))
            if kill % 2:
                module.kill()
                module.start()
            else:
                device.brokers["scorer"].stop(signal.SIGTERM)
                device.brokers["scorer"].start()

        def numbers() -> set[int]:
            return {body["n"] for body in device.bodies()}

        until(lambda: len(numbers()) >= total, lambda: f"{len(numbers())} of {total} {module.log}", 300)
        again = len(device.arrived) - total
        ids = len({one["system"]["$.mid"] for one in device.arrived})
        print(f"kills: {count}, messages {total}, lost {total - len(numbers())}, twice {again}, ids {ids}")
    finally:
        module.kill()
        sensor.close()


if __name__ == "__main__":
    main()
