"""Which of the engine's lines a log gets."""

from cli.stack.quiet import Shortener

BUILD = "docker-build:index:Image iris"


def _kept(*lines):
    shortener = Shortener()
    return [line for line in lines if shortener.keeps(f"{line}\n")]


def test_a_builds_progress_is_left_out_and_its_states_stay():
    lines = [
        "Updating (dev):",
        f" +  {BUILD} creating (0s) ",
        f' +  {BUILD} creating (0s) #0 building with "slipway" instance',
        f' +  {BUILD} creating (1s) #13 RUN pip install "cloudpickle==3.1.2',
        f" +  {BUILD} creating (1s) joblib==1.6.0",
        f" +  {BUILD} created (20s) #15 exporting layers 11.6s done",
        f" +  {BUILD} created (20s) ",
    ]
    assert _kept(*lines) == [lines[0], lines[1], lines[5]]


def test_a_failure_is_shown_once_with_its_reason():
    lines = [
        f" ~  {BUILD} updating (0s) [diff: ~tags]",
        f" ~  {BUILD} updating (0s) error: failed to solve",
        f" ~  {BUILD} **updating failed** [diff: ~tags]; error: failed to solve",
        f" ~  {BUILD} **updating failed** 1 error",
    ]
    assert _kept(*lines) == [lines[0], lines[2]]


def test_resources_of_one_name_or_kind_are_told_apart():
    lines = [
        " +  docker:index:Container iris creating (0s) ",
        " +  docker:index:RemoteImage iris creating (0s) ",
        " +  docker:index:Container digits creating (0s) ",
        " ++ docker:index:Container iris creating replacement (0s) ",
    ]
    assert _kept(*lines) == lines


def test_everything_that_is_no_resources_line_stays():
    lines = ["Diagnostics:", "  docker-build:index:Image (iris):", "    error: failed", "    error: failed", "", ""]
    assert _kept(*lines) == lines


def test_a_warning_about_the_program_is_left_to_the_diagnostics_at_the_end():
    stack = "    pulumi:pulumi:Stack shop-dev"
    lines = [
        f"{stack} running warning: a",
        f"{stack} running warning: b",
        "  pulumi:pulumi:Stack (shop-dev):",
        "    warning: a",
    ]
    assert _kept(*lines) == [lines[0], *lines[2:]]
