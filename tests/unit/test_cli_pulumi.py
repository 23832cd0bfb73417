"""What Pulumi is told, and what is made of its exit codes.

At this boundary a script stands in for Pulumi, named as what it is: it writes down how it was called and answers
as it was told to. What Pulumi really does is tested in tests/engine and tests/system.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.errors import CliError, Exit
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from tests.unit.cli_harness import FakePulumi

PLAIN = "config:\n  slipway:targets: [local-docker]\n"
SHARED = PLAIN + "secretsprovider: azurekeyvault://team.vault/keys/slipway\n"


@pytest.fixture
def fake(tmp_path):
    return FakePulumi(tmp_path)


def _pulumi(fake):
    return Pulumi(Project(root=fake.root, name="shop"), "dev", fake.env)


def test_an_operation_works_on_a_copy_of_the_configuration(fake):
    assert _pulumi(fake).run("up", "--yes", "--refresh") == 0
    copy = fake.root / ".slipway/pulumi/Pulumi.dev.yaml"
    assert fake.calls() == [[str(fake.root), f"up --stack dev --config-file {copy} --yes --refresh"]]
    assert copy.read_text() == PLAIN


def test_a_configuration_with_a_secrets_provider_is_used_itself(fake):
    fake.configure(SHARED)
    _pulumi(fake).run("up", "--yes")
    assert fake.calls() == [[str(fake.root), "up --stack dev --yes"]]


@pytest.mark.parametrize("code", [0, 1, 255])
def test_an_operations_exit_code_is_handed_on(fake, code):
    fake.answers(code=code)
    assert _pulumi(fake).run("preview") == code


def test_a_variable_of_one_operation_is_not_there_in_the_next(fake):
    pulumi = _pulumi(fake)
    assert pulumi.run("up", variables={"FAKE_PULUMI_CODE": "3"}) == 3
    assert pulumi.run("up") == 0


def test_a_new_stack_is_made_beside_the_copy_so_that_the_file_stays_as_it_is(fake):
    _pulumi(fake).create()
    folder, call = fake.calls()[0]
    assert folder == str(fake.root / ".slipway/pulumi")
    assert call.startswith("stack init dev --no-select")
    assert (fake.root / ".slipway/pulumi/Pulumi.yaml").exists()


def test_a_new_stack_gets_the_secrets_provider_of_its_configuration(fake):
    fake.configure(SHARED)
    _pulumi(fake).create()
    folder, call = fake.calls()[0]
    assert folder == str(fake.root)
    assert "--secrets-provider azurekeyvault://team.vault/keys/slipway" in call


def test_removing_a_stack_leaves_its_configuration_file(fake):
    _pulumi(fake).remove()
    [[_, call]] = fake.calls()
    assert call.startswith("stack rm --stack dev --yes --preserve-config")


@pytest.mark.parametrize(("code", "said"), [(6, ""), (255, "error: no stack named 'dev' found")])
def test_a_stack_that_is_not_there_has_no_state_and_no_outputs(fake, code, said):
    fake.answers(err=said, code=code)
    assert _pulumi(fake).state() is None
    assert _pulumi(fake).outputs() is None
    assert not _pulumi(fake).exists()


def test_outputs_are_asked_for_once_until_an_operation_may_have_changed_them(fake):
    fake.answers(out={"models": {}})
    pulumi = _pulumi(fake)
    assert pulumi.outputs() == pulumi.outputs() == {"models": {}}
    pulumi.run("up")
    pulumi.outputs()
    assert [call.split()[:2] for _, call in fake.calls()] == [
        ["stack", "output"],
        ["up", "--stack"],
        ["stack", "output"],
    ]


def test_a_state_with_secrets_is_asked_for_once_until_something_may_have_changed_it(fake):
    fake.answers(out={"deployment": {"resources": []}})
    pulumi = _pulumi(fake)

    def exports():
        return [call for _, call in fake.calls() if "--show-secrets" in call]

    for number, change in enumerate(
        [lambda: None, lambda: pulumi.run("up"), lambda: pulumi.replace_state({}), pulumi.remove], start=1
    ):
        change()
        # What somebody makes of one answer is not in the next.
        pulumi.state(show_secrets=True)["deployment"]["resources"].append("changed")
        assert pulumi.state(show_secrets=True) == {"deployment": {"resources": []}}
        assert len(exports()) == number


def test_secrets_are_only_in_a_state_that_was_asked_for_with_them(fake):
    fake.answers(out={"secrets": "plain"})
    pulumi = _pulumi(fake)
    pulumi.state(show_secrets=True)
    fake.answers(out={"secrets": "encrypted"})
    pulumi.env.update(fake.env)
    # It is what may be written back.
    assert pulumi.state() == {"secrets": "encrypted"}
    assert "--show-secrets" not in fake.calls()[-1][1]


def test_threads_that_want_the_secrets_at_once_start_pulumi_once(fake):
    fake.answers(out={"deployment": {}})
    pulumi = _pulumi(fake)
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: pulumi.state(show_secrets=True), range(4)))
    assert states == 4 * [{"deployment": {}}]
    assert len(fake.calls()) == 1


def test_what_pulumi_says_is_part_of_the_error(fake):
    fake.answers(err="error: incorrect passphrase\n", code=1)
    with pytest.raises(CliError, match=r"outputs: incorrect passphrase") as caught:
        _pulumi(fake).outputs()
    assert caught.value.code == Exit.FAILED


def test_an_answer_that_is_no_json_is_an_error(fake):
    fake.answers(out="Welcome!")
    with pytest.raises(CliError, match="not JSON"):
        _pulumi(fake).outputs()


def test_the_names_of_stacks_are_listed(fake):
    fake.answers(out=[{"name": "dev"}, {"name": "prod", "current": True}])
    assert _pulumi(fake).stacks() == ["dev", "prod"]


def test_a_state_is_replaced_without_showing_it_on_a_command_line(fake):
    _pulumi(fake).replace_state({"deployment": {"resources": ["private"]}})
    [[_, call]] = fake.calls()
    assert "private" not in call
    assert json.loads((fake.root / "calls.input").read_text()) == {"deployment": {"resources": ["private"]}}


def test_without_pulumi_the_set_up_is_asked_for(fake):
    fake.env["PATH"] = str(fake.root)
    for operation in (lambda: _pulumi(fake).run("up"), lambda: _pulumi(fake).outputs()):
        with pytest.raises(CliError, match="Pulumi cannot be started") as caught:
            operation()
        assert caught.value.code == Exit.SETUP


def test_a_salt_of_this_checkout_alone_is_warned_of(fake):
    own = str(fake.root / ".slipway/passphrase")
    fake.configure(PLAIN + "encryptionsalt: v1:abc\n")
    assert _pulumi(fake).advice is None
    fake.env["PULUMI_CONFIG_PASSPHRASE_FILE"] = own
    assert "Pulumi.dev.yaml has an encryptionsalt" in _pulumi(fake).advice
    fake.configure(PLAIN)
    assert _pulumi(fake).advice is None


@pytest.mark.parametrize("option", ["--stack", "--stack=prod", "-s", "-sprod", "--config-file=x", "-C"])
def test_an_option_that_would_lead_to_another_stack_is_refused(fake, option):
    with pytest.raises(CliError, match="cannot be passed on to Pulumi") as caught:
        _pulumi(fake).run("up", "--refresh", option, "prod")
    assert caught.value.code == Exit.USAGE
    assert not fake.calls_file.exists()
