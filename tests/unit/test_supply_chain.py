"""What is recorded of images: read from what syft and trivy write, kept by digest, told in words."""

import json
from datetime import UTC, datetime

import pytest

from cli.errors import CliError
from cli.supply_chain.facts import facts
from cli.supply_chain.sbom import Component, components
from cli.supply_chain.scan import Scanner, scan_of
from cli.supply_chain.signing import Signer
from cli.supply_chain.tools import Tools, last_words
from manifest import ManifestError, load_environment
from manifest.supply_chain import SignSettings
from releases import ImageRecord, ImageStore, Provenance, Release, ReleaseError, Sbom, Scan, Signature
from tests.unit.release_harness import model_of, release_of

DIGEST = f"sha256:{'a' * 64}"
TIME = datetime(2026, 3, 1, tzinfo=UTC)


def settings(given):
    return load_environment({"targets": ["local-docker"], "supplyChain": given}, source="dev").supply_chain


def said(given):
    with pytest.raises(ManifestError) as refused:
        settings(given)
    (problem,) = refused.value.problems
    return str(problem)


def test_nothing_is_done_unless_it_is_asked_for():
    assert load_environment({"targets": ["local-docker"]}, source="dev").supply_chain is None


def test_what_is_asked_for_has_defaults():
    found = settings({"scan": True, "sign": {"key": "env://SIGNING_KEY"}})
    assert found.sbom
    assert found.scan.fail_on is None
    assert found.sign == SignSettings(key="env://SIGNING_KEY", transparencyLog=False)
    assert found.verify is None
    assert settings({"scan": {"failOn": "high"}}).scan.fail_on == "high"
    assert settings({"scan": False}).scan is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scan": {"failOn": "dire"}}, "critical"),
        ({"sbom": False, "scan": True}, "looks into the SBOM, which sbom: false leaves out"),
        ({"sign": {}}, "key"),
        ({"sign": {"key": "http://keys.example.com/cosign.key"}}, "must be a file, env://VARIABLE"),
        ({"sing": {"key": "cosign.key"}}, 'did you mean "sign"'),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed(given, message):
    assert message in said(given)


def test_a_key_that_was_put_into_the_configuration_is_not_repeated_in_the_message():
    told = said({"sign": {"key": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nc2VjcmV0\n"}})
    assert "not the key itself" in told
    assert "c2VjcmV0" not in told


def test_an_sbom_lists_packages_with_versions_and_licences_and_no_files():
    sbom = {
        "bomFormat": "CycloneDX",
        "components": [
            {"type": "library", "name": "numpy", "version": "2.0.0", "purl": "pkg:pypi/numpy@2.0.0",
             "licenses": [{"license": {"id": "BSD-3-Clause"}}]},
            {"type": "library", "name": "adduser", "version": "3.134", "purl": "pkg:deb/debian/adduser@3.134",
             "licenses": [{"license": {"name": "Expat"}}, {"expression": "GPL-2.0-only OR MIT"}, {"license": {}}]},
            {"type": "file", "name": "/usr/bin/python3"},
            {"type": "operating-system", "name": "debian", "version": "12"},
        ],
    }  # fmt: skip
    assert components(json.dumps(sbom).encode()) == [
        Component("adduser", "3.134", "deb", ("Expat", "GPL-2.0-only OR MIT")),
        Component("debian", "12", "operating-system", ()),
        Component("numpy", "2.0.0", "pypi", ("BSD-3-Clause",)),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"bomFormat": "SPDX"}', b'{"bomFormat": "CycloneDX", "components": [{}]}']
)
def test_what_is_no_sbom_is_refused(content):
    with pytest.raises(CliError, match="not CycloneDX"):
        components(content)


def _vulnerability(id_, package, severity):
    return {"VulnerabilityID": id_, "PkgName": package, "Severity": severity, "InstalledVersion": "1"}


def test_vulnerabilities_are_counted_by_severity_and_the_worst_are_named():
    known = _vulnerability("CVE-1", "zlib", "CRITICAL")
    report = {
        "Results": [
            {"Target": "debian", "Vulnerabilities": [known, _vulnerability("CVE-2", "tar", "LOW")]},
            # The same package in another place.
            {"Target": "python", "Vulnerabilities": [known, _vulnerability("CVE-3", "x", "UNKNOWN")]},
            {"Target": "empty"},
        ]
    }
    scan = scan_of(json.dumps(report).encode(), "trivy 0.66.0")
    assert scan.found == {"unknown": 1, "low": 1, "critical": 1}
    assert scan.worst == ("CVE-1 in zlib", "CVE-2 in tar", "CVE-3 in x")
    assert (scan.at_least("critical"), scan.at_least("high"), scan.at_least("low")) == (1, 1, 2)


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"Results": [{"Vulnerabilities": [{}]}]}'])
def test_what_is_no_report_is_refused(content):
    with pytest.raises(CliError, match="not its report"):
        scan_of(content, "trivy 0.66.0")


def test_a_report_without_vulnerabilities_has_none():
    assert scan_of(b'{"SchemaVersion": 2}', "trivy 0.66.0").found == {}


# What trivy 0.66 prints where its database's registries do not answer.
NO_DATABASE = """#!/bin/sh
if [ "$1" = version ]; then echo 'Version: 0.66.0'; exit; fi
echo "$@" >> "$(dirname "$0")/calls"
echo 'INFO [vulndb] Downloading vulnerability DB...' >&2
echo 'FATAL Fatal error run error: init error: DB error: failed to download vulnerability DB: OCI artifact error' >&2
exit 1
"""


def test_without_trivys_database_the_reason_is_said_and_it_is_asked_for_once(tmp_path):
    program = tmp_path / "bin/trivy"
    program.parent.mkdir()
    program.write_text(NO_DATABASE)
    program.chmod(0o755)
    scanner = Scanner(
        Tools({"PATH": f"{program.parent}:/usr/bin:/bin", "SLIPWAY_CACHE": str(tmp_path / "cache")}, tmp_path)
    )
    assert "failed to download vulnerability DB" in scanner.unavailable()
    assert scanner.unavailable() == scanner.unavailable()
    assert (program.parent / "calls").read_text().splitlines() == ["image --download-db-only --no-progress"]


def test_without_trivy_and_without_its_releases_the_reason_is_said(tmp_path):
    env = {"PATH": str(tmp_path), "SLIPWAY_CACHE": str(tmp_path / "cache"), "SLIPWAY_OFFICIAL": "0"}
    assert (
        Scanner(Tools(env, tmp_path)).unavailable() == "trivy is not on PATH, and https://github.com cannot be reached"
    )


def test_a_tools_last_words_are_one_line_without_credentials():
    assert (
        last_words(b"one\n\n  two https://ann:secret@example.com/\x1b[0m\n") == "one two https://***@example.com/ [0m"
    )


@pytest.mark.parametrize(
    ("key", "env", "message"),
    [
        ("missing.key", {"COSIGN_PASSWORD": ""}, "there is no file"),
        ("cosign.key", {}, "needs its password in the variable COSIGN_PASSWORD"),
        ("env://KEY", {"COSIGN_PASSWORD": ""}, "the variable KEY is not set"),
    ],
)
def test_a_key_that_cannot_sign_is_told_before_anything_is_deployed(tmp_path, key, env, message):
    (tmp_path / "cosign.key").write_text("of this test")
    with pytest.raises(CliError, match=message):
        Signer(Tools(env, tmp_path), SignSettings(key=key, transparencyLog=False), tmp_path)


def test_a_key_of_a_key_service_needs_no_password(tmp_path):
    Signer(Tools({}, tmp_path), SignSettings(key="azurekms://vault.example.com/key", transparencyLog=False), tmp_path)


@pytest.fixture
def store(tmp_path):
    return ImageStore(str(tmp_path / "releases"))


def test_a_record_is_kept_by_digest_and_may_gain_a_signature(store):
    assert store.record(DIGEST) is None
    record = ImageRecord(
        provenance=Provenance(commit="c" * 40, recorded=TIME, base="python:3.11-slim"),
        sbom=Sbom(digest=store.add_sbom(DIGEST, b"{}"), components=3, tool="syft 1.33.0"),
    )
    store.put(DIGEST, record)
    signed = record.model_copy(update={"signatures": (Signature(repository="r", key="k", tool="cosign 2.5.0"),)})
    store.put(DIGEST, signed)
    assert store.record(DIGEST) == signed
    assert store.sbom(DIGEST, record.sbom.digest) == b"{}"


def test_the_first_sbom_of_an_image_stays(store):
    first = store.add_sbom(DIGEST, b"first")
    assert store.add_sbom(DIGEST, b"second") == first
    assert store.sbom(DIGEST, first) == b"first"


def test_an_sbom_that_was_changed_is_refused(store, tmp_path):
    digest = store.add_sbom(DIGEST, b"{}")
    (file,) = (tmp_path / "releases/images").glob("*.cdx.json")
    file.write_bytes(b'{"nothing": "in it"}')
    with pytest.raises(ReleaseError, match="not the SBOM that was recorded"):
        store.sbom(DIGEST, digest)
    file.unlink()
    with pytest.raises(ReleaseError, match="is gone"):
        store.sbom(DIGEST, digest)


def test_a_release_holds_what_is_on_record_and_one_of_before_is_still_read():
    record = ImageRecord(scan=Scan(skipped="no database"))
    release = release_of(model_of("iris").model_copy(update={"supply_chain": record}))
    assert Release.model_validate_json(release.model_dump_json(by_alias=True)) == release
    before = release_of(model_of("iris"))
    assert Release.model_validate_json(before.model_dump_json(by_alias=True, exclude_none=True)) == before


def test_what_is_on_record_is_told_in_words():
    record = ImageRecord(
        provenance=Provenance(
            commit="c" * 40, modified=True, recorded=TIME, base="python:3.11-slim", base_digest=DIGEST
        ),
        sbom=Sbom(digest=DIGEST, components=3, tool="syft 1.33.0"),
        scan=Scan(found={"low": 2, "high": 1}, time=TIME, tool="trivy 0.66.0"),
        signatures=(Signature(repository="localhost:5050/a", key="cosign.key", tool="cosign 2.5.0"),),
    )
    told = dict(facts(record))
    assert told["commit"] == f"{'c' * 40} + changes"
    assert told["base image"] == f"python:3.11-slim, {DIGEST}"
    assert told["vulnerabilities"] == "1 high, 2 low, trivy 0.66.0, 2026-03-01"
    assert told["signed"] == "with cosign.key, localhost:5050/a, cosign 2.5.0"
    skipped = ImageRecord(scan=Scan(skipped="there is no database"))
    assert dict(facts(skipped)) == {"vulnerabilities": "skipped, because there is no database"}
    assert facts(None)[0][1].startswith("nothing on record")
