"""The formula by which pools grow and shrink, evaluated by the stand-in's reading of Batch's language."""

import pytest

from components.batch_formula import autoscale_formula
from manifest.targets.batch import Nodes
from standins.azure_batch.formula import FormulaError, evaluate


def nodes(pending, *, dedicated=2, spot=3, idle=0, slots=1, history=()):
    """Return how many nodes of each kind a pool is to have while so many tasks wait or run."""
    counted = [*history, *[pending] * (5 - len(history))]
    samples = [
        (float(at), {"PendingTasks": one, "ActiveTasks": one, "RunningTasks": 0}) for at, one in enumerate(counted)
    ]
    formula = autoscale_formula(Nodes(dedicated=dedicated, lowPriority=spot, idle=idle), slots)
    found = evaluate(formula, samples, 4.0)
    assert found["$NodeDeallocationOption"] == "taskcompletion"
    return int(found["$TargetDedicatedNodes"]), int(found["$TargetLowPriorityNodes"])


@pytest.mark.parametrize(
    ("pending", "options", "expected"),
    [
        (0, {}, (0, 0)),
        (1, {}, (1, 0)),
        (3, {}, (2, 1)),
        (100, {}, (2, 3)),
        (0, {"idle": 1}, (1, 0)),
        (5, {"slots": 4}, (2, 0)),
        (4, {"slots": 4}, (1, 0)),
        (9, {"slots": 4}, (2, 1)),
        (7, {"dedicated": 0}, (0, 3)),
        (7, {"spot": 0}, (2, 0)),
    ],
)
def test_a_pool_has_nodes_for_what_waits_dedicated_ones_first(pending, options, expected):
    assert nodes(pending, **options) == expected


def test_a_pool_shrinks_only_when_nothing_has_waited_for_a_while():
    assert nodes(0, history=(4, 4)) == (2, 2)
    assert nodes(0, history=()) == (0, 0)


def test_a_single_sample_is_enough_to_begin():
    formula = autoscale_formula(Nodes(dedicated=2), 1)
    found = evaluate(formula, [(0.0, {"PendingTasks": 2, "ActiveTasks": 2, "RunningTasks": 0})], 0.0)
    assert found["$TargetDedicatedNodes"] == 2


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "sets no target"),
        ("$TargetDedicatedNodes", "is no assignment"),
        ("$CurrentDedicatedNodes = 1;", "cannot be assigned to"),
        ("$TargetDedicatedNodes = many;", "many is not known"),
        ("$TargetDedicatedNodes = open(1);", "there is no function open"),
        ("$TargetDedicatedNodes = max($PendingTasks.GetSample(2));", "has 1 samples, 2 are asked for"),
        ("$TargetDedicatedNodes = $CPUPercent.GetSample(1);", "is not of the language"),
        ("$TargetDedicatedNodes = 1 / 0;", "ZeroDivisionError"),
        ("$TargetDedicatedNodes = (1;", "SyntaxError"),
    ],
)
def test_a_formula_that_cannot_be_is_refused_with_the_reason(formula, message):
    with pytest.raises(FormulaError, match=message.replace("(", r"\(")):
        evaluate(formula, [(0.0, {"PendingTasks": 1, "ActiveTasks": 1, "RunningTasks": 0})], 0.0)
