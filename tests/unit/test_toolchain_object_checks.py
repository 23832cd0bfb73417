"""The definitions of Kubernetes' kinds: those of the cluster's version, each from a module whose hash is locked."""

from tests.unit.toolchain_harness import ROOT, context_in
from toolchain import gobuild, object_checks
from toolchain.versions import module_version


def test_every_definition_comes_from_a_module_whose_hash_is_locked():
    for module, source, _ in object_checks.DEFINITIONS.values():
        folder = ROOT / "toolchain" / "go" / module.folder
        assert f"{source} {module_version(folder / 'go.mod', source)} h1:" in (folder / "go.sum").read_text()


def test_kinds_are_those_of_the_clusters_version():
    assert object_checks.DEFINITIONS["swagger.json"][0] is gobuild.KUBERNETES


def test_before_they_are_provided_there_are_none(tmp_path):
    context = context_in(tmp_path)
    assert object_checks.programs(context) is None
    assert object_checks.definitions(context) is None
