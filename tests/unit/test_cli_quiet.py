"""Which of the engine's lines a log gets."""

from cli.stack.quiet import Shortener

BUILD = "docker-build:index:Image iris"
STACK = "pulumi:pulumi:Stack shop-dev"
EXPECTED = "warning: using pulumi-resource-docker from $PATH at /tools/pulumi-resource-docker"


def _kept(*lines):
    shortener = Shortener(["/tools"])
    return "".join(shortener.shortened(f"{line}\n") for line in lines).splitlines()


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
    lines = [
        "Updating (dev):",
        "Diagnostics:",
        "  docker-build:index:Image (iris):",
        "    error: failed",
        "    error: failed",
        "",
        "",
    ]
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


def test_who_waits_for_a_build_hears_now_and_then_what_it_does():
    lines = [f" +  {BUILD} creating ({second}s) #13 step {second}" for second in range(70)]
    assert _kept(*lines) == lines[::10]
    replacing = [line.replace("creating", "creating replacement") for line in lines]
    assert _kept(*replacing) == replacing[::10]


def test_plugins_that_the_set_up_provides_are_no_diagnostics():
    lines = [
        f"    {STACK}  {EXPECTED}",
        f" +  {STACK} creating (0s) {EXPECTED}",
        f" +  {STACK} created (13s) 2 warnings",
        "Diagnostics:",
        "  pulumi:pulumi:Stack (shop-dev):",
        f"    {EXPECTED}",
        f"    {EXPECTED}",
        "",
        "Resources:",
    ]
    assert _kept(*lines) == [f" +  {STACK} creating (0s)", f" +  {STACK} created (13s)", "", "Resources:"]


def test_other_diagnostics_stay_and_a_plugin_from_elsewhere_is_one():
    strange = "    warning: using pulumi-resource-docker from $PATH at /home/me/bin/pulumi-resource-docker"
    lines = [
        f"    {STACK} **failed** 1 error; 2 warnings",
        "Diagnostics:",
        "  docker-build:index:Image (iris):",
        "    error: failed",
        "",
        "  pulumi:pulumi:Stack (shop-dev):",
        f"    {EXPECTED}",
        "",
        "  pulumi:providers:docker (default):",
        strange,
        f"    {EXPECTED}",
        "",
        "Resources:",
    ]
    kept = [lines[0].removesuffix("; 2 warnings"), *lines[1:5], *lines[8:10], *lines[11:]]
    assert _kept(*lines) == kept


def test_dots_and_advice_on_what_slipway_does_itself_are_left_out():
    lines = [
        "@ updating....",
        "The resources in the stack have been deleted, but the history and configuration associated with it stay. ",
        "If you want to remove the stack completely, run `pulumi stack rm dev`.",
    ]
    assert _kept(*lines) == []
