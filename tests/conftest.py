"""What all tests share: their examples and their order.

Property tests try the same examples in every run, so that a failure is of the change at hand.
`HYPOTHESIS_PROFILE=explore` tries new ones.
"""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Containers often have it set. The tests start some thousand Python processes: a third of what each of them costs is
# compiling the same modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Take two processes more than there are cores: half of the time, tests wait for containers, engines, brokers."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items):
    # Each process takes whole files: the long ones first, so that none is alone at the end.
    levels = Path(__file__).parent
    items.sort(key=lambda item: {"system": 0, "engine": 1}.get(item.path.relative_to(levels).parts[0], 2))
