"""Simulates a machine's sensors: what they read at a moment, as a model that is asked by the number of that moment."""

import json
import math
import os
import random
from pathlib import Path


def init() -> None:
    """Load what the machine is like."""
    global machine
    machine = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "machine.json").read_text(encoding="utf-8"))


def is_anomaly(number: int) -> bool:
    """Tell whether the bearing is hot at a moment."""
    every = machine["anomalyEvery"]
    return bool(number % every >= every - machine["anomalyReadings"])


def reading(number: int) -> dict[str, float]:
    """What the sensors read at a moment; every so often the bearing is hot, and shakes.

    Args:
        number: The moment, counted from 0.
    """
    chance = random.Random(number)  # noqa: S311 - a simulation, the same each time
    load = 0.5 + 0.4 * math.sin(2 * math.pi * number / machine["period"])
    hot = is_anomaly(number)
    temperature = 40 + 25 * load + chance.gauss(0, 1.2) + (12 if hot else 0)
    vibration = 1.0 + 2.2 * load + chance.gauss(0, 0.15) + (2.0 if hot else 0)
    current = 4 + 9 * load + chance.gauss(0, 0.3)
    return {
        "n": number,
        "temperature": round(temperature, 2),
        "vibration": round(vibration, 3),
        "current": round(current, 2),
    }


def run(data: str) -> dict[str, float]:
    """Answer {"n": 12} by the reading of that moment."""
    return reading(int(json.loads(data)["n"]))
