"""Who works in a checkout, and on which commit."""

import subprocess

import pytest

from storage.checkout import commit_of, who

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]


def git(folder, *arguments):
    return subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "models.yaml").write_text("models: []\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout):
    assert commit_of(checkout) == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["models.yaml", "new.txt"])
def test_changed_and_new_files_are_changes(checkout, name):
    (checkout / name).write_text("other")
    assert commit_of(checkout)[1] is True


def test_what_git_ignores_is_no_change(checkout):
    (checkout / ".git/info/exclude").write_text("results/\n")
    (checkout / "results").mkdir()
    (checkout / "results/one").write_text("x")
    assert commit_of(checkout)[1] is False


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) == (None, False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) == (None, False)


def test_who_is_whom_the_pipeline_works_for(monkeypatch):
    for name in ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR", "GITLAB_USER_LOGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert who() == "ann"
    monkeypatch.setenv("GITLAB_USER_LOGIN", "ben\x1b[31m")
    assert who() == "ben[31m"
    monkeypatch.setenv("GITHUB_ACTOR", "x" * 1000)
    assert who() == "x" * 256


def test_an_account_without_a_name_has_its_number(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR", "GITLAB_USER_LOGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("getpass.getuser", nameless)
    assert who().isdigit()
