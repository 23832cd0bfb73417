"""A model with a name of the user's own: what is said until the name leads to it; the model itself is fine."""

import socket

import pytest

from cli.errors import Exit
from cli.main import run
from cli.placements.host_names import missing_name, wrong_name
from cli.placements.keys import Keys
from cli.placements.placement import Placement
from cli.placements.samples import score_samples
from cli.releases.promotion import to_be_asked
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest
from tests.unit.cli_harness import ACI_MANIFEST, FakePulumi, service, write_iris

ADDRESS = "shop-iris.trafficmanager.net"
MANIFEST = ACI_MANIFEST.replace("memory: 1Gi", "memory: 1Gi, host: iris.example.com")
LINE = (
    f"iris.example.com has no CNAME yet: create one that leads to {ADDRESS}, where iris is; "
    "callers find it from then on."
)


class Names(dict):
    """What names lead to; those that are missing are known to nobody, and of None nobody could be asked."""

    def __call__(self, host, *_arguments, **_options):
        if host not in self:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if self[host] is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self[host], 0))]


@pytest.fixture
def names(monkeypatch):
    made = Names()
    monkeypatch.setattr("cli.placements.host_names.socket.getaddrinfo", made)
    return made


def placed(endpoint="https://iris.example.com", address=ADDRESS):
    return Placement("iris", "1", "aci", endpoint=endpoint, address=address, auth="none")


def test_a_name_that_nobody_knows_is_told_with_what_to_create(names):
    assert missing_name(placed()) == LINE
    assert "no address record yet: create one that leads to 10.1.2.3," in missing_name(placed(address="10.1.2.3"))


@pytest.mark.parametrize("known", ["192.0.2.1", None])
def test_a_name_that_is_known_or_of_which_nobody_could_be_asked_is_not_missing(names, known):
    names["iris.example.com"] = known
    assert missing_name(placed()) is None


@pytest.mark.parametrize("address", [None, "iris.example.com"])
def test_an_endpoint_at_the_address_itself_is_none_of_it(names, address):
    assert missing_name(placed(address=address)) is None


@pytest.mark.parametrize(
    ("host", "address", "is_wrong"),
    [
        ("192.0.2.1", "192.0.2.9", True),
        ("192.0.2.1", "192.0.2.1", False),
        (None, "192.0.2.9", False),
        ("192.0.2.1", None, False),
    ],
)
def test_a_name_that_leads_elsewhere_is_told_where_both_are_known(names, host, address, is_wrong):
    names |= {"iris.example.com": host, ADDRESS: address}
    expected = f"iris.example.com leads elsewhere: its CNAME has to lead to {ADDRESS}."
    assert wrong_name(placed()) == (expected if is_wrong else None)


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_iris(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    made = FakePulumi(tmp_path)
    made.configure("config:\n  slipway:targets: [aci]\n  slipway:azure: {location: westeurope}\n")
    targets = {"aci": {"endpoint": "https://iris.example.com", "address": ADDRESS, "auth": "none"}}
    made.answers(out={"models": {"iris": {"version": "1", "targets": targets}}, "deployment": {"resources": []}})
    return made


def test_samples_of_such_a_model_do_not_fail_and_one_line_tells_why_it_was_not_asked(project, names, capsys):
    assert run(["score"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [f"iris was not asked: {LINE}"]


def test_a_promotion_does_not_ask_such_a_model_until_its_name_is_known(project, names):
    shop = Project(project.root, "shop")
    pulumi = Pulumi(shop, "dev", shop.environment())
    with to_be_asked(pulumi) as at:
        assert at == {}
    names["iris.example.com"] = "192.0.2.1"
    with to_be_asked(pulumi) as at:
        assert at.keys() == {"iris"}


def test_the_state_tells_it_too(project, names, capsys):
    assert run(["status"]) == Exit.OK
    seen = capsys.readouterr()
    assert LINE in seen.err.splitlines()
    assert "unreachable" in seen.out


def test_a_name_that_leads_elsewhere_fails_with_where_it_has_to_lead(project, names, capsys):
    names |= {"iris.example.com": "127.0.0.1", ADDRESS: "192.0.2.9"}
    assert run(["score"]) == Exit.FAILED
    assert f"its CNAME has to lead to {ADDRESS}." in capsys.readouterr().out


def test_once_the_name_is_there_the_model_is_asked(tmp_path, project, capsys):
    shop = Project(project.root, "shop")
    with service({"label": "setosa"}) as server:
        one = placed(server.endpoint.replace("127.0.0.1", "localhost"), "127.0.0.1")
        keys = Keys(Pulumi(shop, "dev", shop.environment()))
        assert score_samples([one], checked_manifest(shop), project.root, keys)
    assert "setosa" in capsys.readouterr().out
