"""Our line in somebody else's configuration."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import settings
from gitstate.engine.git import GitEngine
from gitstate.engine.repository import open_repository
from gitstate.errors import BusyError, UnsupportedError
from tests.engine.conftest import git


def name_branch(folder: Path, branch: str = "gitstate") -> None:
    repository = open_repository(folder, branch=branch)
    engine = GitEngine(repository)
    try:
        with engine.lock():
            settings.name_branch(repository)
    finally:
        engine.close()


CONFIGURATIONS = {
    "as git wrote it": "[core]\n\tbare = false\n",
    "without an end of line": "[core]\n\tbare = false",
    "going on": "[core]\n\tbare = false\n[alias]\n\tlog = log \\\n",
    "with a comment": "# [gitstate]\n; branch = no\n[core]\n\tbare = false ; end",
    "with a section of ours": "[gitstate]\n\tother = 1\n[core]\n\tbare = false\n",
    "naming another": "[GitState]\n\tBranch = other\n[core]\n\tbare = false\n",
    "empty": "",
}


@pytest.mark.parametrize("content", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_line_is_added_and_the_rest_stays(tmp_path: Path, content: str) -> None:
    open_repository(tmp_path)
    config = tmp_path / ".git/config"
    config.write_text(content)
    config.chmod(0o600)
    before = git(tmp_path, "config", "--local", "--list").splitlines()
    name_branch(tmp_path)
    assert config.read_text().startswith(content)
    assert git(tmp_path, "config", "gitstate.branch") == "gitstate\n"
    assert settings.branch_named(tmp_path) == "gitstate"
    after = git(tmp_path, "config", "--local", "--list").splitlines()
    assert after == [*before, "gitstate.branch=gitstate"]
    assert stat.S_IMODE(config.stat().st_mode) == 0o600, "it may hold secrets"
    written = config.read_bytes()
    name_branch(tmp_path)
    assert config.read_bytes() == written
    assert not list((tmp_path / ".git").glob("*.lock"))


def test_the_value_in_a_section_of_ours_is_another_one(tmp_path: Path) -> None:
    open_repository(tmp_path)
    config = tmp_path / ".git/config"
    git(tmp_path, "config", "gitstate.branch", "first")
    git(tmp_path, "config", "gitstate.other", "1")
    git(tmp_path, "config", "alias.st", "status")
    before = config.read_text()
    for branch in ("second", 'th"ird#', "third"):
        name_branch(tmp_path, branch)
        assert git(tmp_path, "config", "gitstate.branch") == branch + "\n"
    assert config.read_text() == before.replace("first", "third")


@given(branch=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12))
def test_any_branch_reads_back(tmp_path_factory: pytest.TempPathFactory, branch: str) -> None:
    folder = tmp_path_factory.mktemp("store")
    try:
        name_branch(folder, branch)
    except ValueError:
        return  # no name of a branch
    assert settings.branch_named(folder) == branch
    assert git(folder, "config", "gitstate.branch") == branch + "\n"


def test_a_configuration_that_is_a_link_stays_one(tmp_path: Path) -> None:
    open_repository(tmp_path / "store")
    config = tmp_path / "store/.git/config"
    config.rename(tmp_path / "elsewhere")
    config.symlink_to(tmp_path / "elsewhere")
    name_branch(tmp_path / "store")
    assert config.is_symlink() and "[gitstate]" in (tmp_path / "elsewhere").read_text()


def test_where_nothing_is_said(tmp_path: Path) -> None:
    assert settings.branch_named(tmp_path) is None
    open_repository(tmp_path / "store")
    assert settings.branch_named(tmp_path / "store") is None
    (tmp_path / "store/.git/config").unlink()
    assert settings.branch_named(tmp_path / "store") is None
    name_branch(tmp_path / "store")
    assert settings.branch_named(tmp_path / "store") == "gitstate"


def test_a_configuration_that_git_holds_or_cannot_read_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = open_repository(tmp_path, branch="gitstate")
    engine = GitEngine(repository)
    lock = tmp_path / ".git/config.lock"
    lock.touch()
    monkeypatch.setattr(settings, "_PATIENCE", 0.05)
    with engine.lock(), pytest.raises(BusyError, match=r"config\.lock"):
        settings.name_branch(repository)
    lock.unlink()
    (tmp_path / ".git/config").write_text("[gitstate\n")
    with engine.lock(), pytest.raises(UnsupportedError, match="cannot be read"):
        settings.name_branch(repository)
    with pytest.raises(UnsupportedError, match="cannot be read"):
        settings.branch_named(tmp_path)
    engine.close()
    assert (tmp_path / ".git/config").read_text() == "[gitstate\n"


def test_what_a_configuration_includes_has_an_end(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "more").write_text('[remote "origin"]\n\turl = nowhere\n')
    with (tmp_path / ".git/config").open("a") as config:
        config.write(f"[include]\n\tpath = {tmp_path}/fifo\n\tpath = /dev/zero\n\tpath = {tmp_path}/more\n")
    assert settings.remotes(open_repository(tmp_path)) == ["origin"]


def test_remotes_are_those_of_the_configuration(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    assert settings.remotes(repository) == []
    for name in ("origin", "a/b"):
        git(tmp_path, "remote", "add", name, "nowhere")
    assert settings.remotes(repository) == ["a/b", "origin"]
    git(tmp_path, "remote", "set-url", "origin", "https://ann:se@cret@host/a")
    git(tmp_path, "config", "--unset", "remote.a/b.url")
    assert settings.addresses(repository) == {"a/b": "", "origin": "https://host/a"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [("", True), ("redact = true", True), ("redact = FALSE", False), ("redact = off", False), ("branch = x", True)],
)
def test_whether_credentials_are_replaced(tmp_path: Path, line: str, expected: bool) -> None:
    git(tmp_path, "init", "-q")
    with (tmp_path / ".git/config").open("a") as config:
        config.write(f"[gitstate]\n\t{line}\n" if line else "")
    assert settings.redacts(tmp_path) is expected
    assert settings.redacts(tmp_path / "nothing") is True


def test_what_is_included_counts(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".git/ours").write_text("[gitstate]\n\tbranch = state\n\tredact = no\n")
    git(tmp_path, "config", "include.path", "ours")
    assert (settings.branch_named(tmp_path), settings.redacts(tmp_path)) == ("state", False)
