"""Remotes are git's own: what it wrote we read, what we write it reads, and nobody's configuration is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import configtext, remotes
from gitstate.engine.git import GitEngine
from gitstate.engine.remotes import Remote
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import ExistsError, InvalidInputError, NotFoundError, UnsupportedError
from tests.git import git


@contextmanager
def locked(repository: Repository) -> Iterator[None]:
    engine = GitEngine(repository)
    try:
        with engine.lock():
            yield
    finally:
        engine.close()


def config(repository: Repository) -> Path:
    return repository.common_dir / "config"


def folder(repository: Repository) -> Path:
    assert repository.worktree is not None
    return repository.worktree


ADDRESSES = (
    "https://example.org/a.git",
    "ssh://me@example.org:2222/~/a.git",
    "me@example.org:a b/#1;x.git",
    '/tmp/a "quoted" \\path',
    "/tmp/käse",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_one_is_written_as_git_writes_it(repository: Repository, tmp_path: Path, url: str) -> None:
    git(tmp_path, "init", "-q", "theirs")
    for name in ("origin", 'a"b', "team/x"):
        git(tmp_path / "theirs", "remote", "add", name, url)
        with locked(repository):
            remotes.add(repository, name, url)
        assert git(folder(repository), "config", f"remote.{name}.url") == f"{url}\n"
    theirs = (tmp_path / "theirs/.git/config").read_bytes()
    assert config(repository).read_bytes().partition(b"[remote")[1:] == theirs.partition(b"[remote")[1:]
    assert [each.name for each in remotes.all_remotes(repository)] == sorted(["origin", 'a"b', "team/x"])


@pytest.mark.parametrize(
    ("name", "url", "error"),
    [
        ("origin", "ext::sh -c touch% /tmp/x", InvalidInputError),
        ("origin", "fd::7", InvalidInputError),
        ("origin", "-oProxyCommand=touch", InvalidInputError),
        ("origin", "ssh://-oProxyCommand=touch/x", InvalidInputError),
        ("origin", "ssh://-oProxyCommand=touch@host/x", InvalidInputError),
        ("origin", "-oProxyCommand=touch:x", InvalidInputError),
        ("origin", "ssh://host/-x%0a", InvalidInputError),
        ("origin", "git://host/a\nb", InvalidInputError),
        ("origin", "git://host%0aport/a", InvalidInputError),
        ("origin", "host:-path", InvalidInputError),
        ("origin", "ftp://host/a", InvalidInputError),
        ("origin", "https:///a", InvalidInputError),
        ("origin", "", InvalidInputError),
        ("-origin", "/tmp/a", InvalidInputError),
        ("or igin", "/tmp/a", InvalidInputError),
        ("a..b", "/tmp/a", InvalidInputError),
        ("a\nb", "/tmp/a", InvalidInputError),
        ("", "/tmp/a", InvalidInputError),
        ("there", "/tmp/a", ExistsError),
        ("there/too", "/tmp/a", ExistsError),
    ],
)
def test_what_is_none_is_refused(repository: Repository, name: str, url: str, error: type[Exception]) -> None:
    git(folder(repository), "remote", "add", "there", "/tmp/there")
    before = config(repository).read_bytes()
    with locked(repository), pytest.raises(error):
        remotes.add(repository, name, url)
    assert config(repository).read_bytes() == before


@pytest.mark.parametrize("url", ["ext::sh -c x", "ssh://-oProxyCommand=x/y"])
def test_one_that_would_run_something_is_not_used(repository: Repository, url: str) -> None:
    git(folder(repository), "config", "remote.evil.url", url)
    assert remotes.all_remotes(repository) == [Remote("evil", url, url)]
    with pytest.raises(InvalidInputError):
        remotes.find(repository, "evil")


def test_what_is_rewritten_is_what_the_user_says(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    where = folder(repository)
    git(where, "config", "--global", "url.https://forge.example/.insteadOf", "forge:")
    git(where, "config", "--global", "url.https://forge.example/team/.insteadOf", "forge:team/")
    git(where, "config", "--global", "url.ssh://git@forge.example/.pushInsteadOf", "forge:")
    git(where, "config", "url.https://evil.example/.insteadOf", "https://")
    try:
        git(where, "remote", "add", "origin", "forge:a.git")
        git(where, "remote", "add", "team", "forge:team/a.git")
        git(where, "remote", "add", "both", "forge:a.git")
        git(where, "config", "remote.both.pushurl", "forge:b.git")
        assert remotes.all_remotes(repository) == [
            Remote("both", "https://forge.example/a.git", "https://forge.example/b.git"),
            Remote("origin", "https://forge.example/a.git", "ssh://git@forge.example/a.git"),
            Remote("team", "https://forge.example/team/a.git", "ssh://git@forge.example/team/a.git"),
        ]
        assert remotes.find(repository, "forge:c").url == "https://forge.example/c"
    finally:
        git(where, "config", "--global", "--remove-section", "url.https://forge.example/")
        git(where, "config", "--global", "--remove-section", "url.https://forge.example/team/")
        git(where, "config", "--global", "--remove-section", "url.ssh://git@forge.example/")


def test_one_is_found_by_name_address_or_path(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(repository):
        remotes.add(repository, "origin", "../bare.git")
    path = str(folder(repository).parent / "bare.git")
    assert remotes.find(repository, "origin") == Remote("origin", path, path)
    assert remotes.find(repository, "https://x.example/a").name == ""
    monkeypatch.chdir(folder(repository).parent)
    os.mkdir("there.git")
    assert remotes.find(repository, "there.git").url == str(Path("there.git").absolute())
    with pytest.raises(NotFoundError, match=r"'upstream' .the remotes: origin;"):
        remotes.find(repository, "upstream")


def test_several_addresses_to_push_to_are_no_remote_of_ours(repository: Repository) -> None:
    git(folder(repository), "remote", "add", "all", "/tmp/a")
    git(folder(repository), "remote", "set-url", "--add", "all", "/tmp/b")
    with pytest.raises(UnsupportedError, match="make a remote of each"):
        remotes.find(repository, "all")


def test_one_is_removed_as_git_does_it(repository: Repository, tmp_path: Path) -> None:
    where = folder(repository)
    git(where, "commit", "-q", "--allow-empty", "-m", "One")
    git(tmp_path, "clone", "-q", "--bare", str(where), "bare.git")
    git(where, "remote", "add", "origin", str(tmp_path / "bare.git"))
    git(where, "remote", "add", "other", str(tmp_path / "bare.git"))
    git(where, "fetch", "-q", "--all")
    git(where, "remote", "set-head", "origin", "main")
    git(where, "branch", "-q", "--set-upstream-to", "origin/main", "main")
    git(where, "branch", "-q", "two", "other/main")
    git(where, "config", "branch.two.pushRemote", "origin")
    git(where, "config", "remote.pushDefault", "origin")
    git(where, "config", "branch.two.description", "mine")
    git(where, "pack-refs", "--all")
    git(where, "update-ref", "refs/gitstate/remotes/origin/rescue/a/b", "HEAD")
    git(where, "update-ref", "refs/remotes/origin/loose", "HEAD")
    git(tmp_path, "clone", "-q", "--bare", str(where), "copy.git")
    theirs = open_repository(tmp_path / "copy.git", create=False)
    config(theirs).write_bytes(config(repository).read_bytes())
    git(where, "config", "--local", "core.comment", "kept # \\ ")
    git(theirs.git_dir, "config", "core.comment", "kept # \\ ")
    with locked(repository):
        remotes.remove(repository, "origin")
    git(theirs.git_dir, "remote", "remove", "origin")
    assert git(where, "config", "--local", "--list") == git(theirs.git_dir, "config", "--local", "--list")
    left = git(where, "for-each-ref", "--format=%(refname)").split()
    assert left == ["refs/heads/main", "refs/heads/two", "refs/remotes/other/main"]
    git(where, "fsck", "--strict")
    with locked(repository), pytest.raises(NotFoundError, match="the remotes: other;"):
        remotes.remove(repository, "origin")


def _header(kind: str, name: str, end: str) -> str:
    quoted = name.replace('"', '\\"')
    return f'[{kind} "{quoted}"]{end}'


def _entry(key: str, value: str, form: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return form.format(key, quoted)


_headers = st.builds(
    _header,
    st.sampled_from(["remote", "Remote", "branch", "core"]),
    st.sampled_from(["origin", "other", 'q"#', "a]b"]),
    st.sampled_from(["\n", ' ; [remote "origin"]\n', " url = x\n"]),
)
_entries = st.builds(
    _entry,
    st.sampled_from(["url", "fetch", "remote", "merge", "description"]),
    st.one_of(st.just("origin"), st.text(st.sampled_from("ab \t\"\\#;[]=/*:'\n"), max_size=8)),
    st.sampled_from(['\t{} = "{}"\n', '  {}="{}" # [core]\n', '{} = a "{}" \\\n  more\n', '\n; [x\n{}="{}"\n']),
)
_configurations = st.lists(
    st.builds(lambda header, entries: header + "".join(entries), _headers, st.lists(_entries, max_size=3)), max_size=6
).map(lambda sections: "".join(sections).encode())


@given(_configurations)
def test_the_text_of_a_configuration_is_taken_apart_as_it_is(content: bytes) -> None:
    assert b"".join(line for _, lines in configtext.sections(content) for line in lines) == content


@given(content=_configurations)
def test_what_is_left_of_a_configuration_is_all_else(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    where = tmp_path_factory.getbasetemp() / "configuration"

    def listed(text: bytes) -> list[str]:
        where.write_bytes(text)
        return git(where.parent, "config", "--file", str(where), "--list", "--null").split("\0")

    def goes(entry: str) -> bool:
        return entry.startswith("remote.origin.")

    def may_go(entry: str) -> bool:
        key = entry.partition("\n")[0]
        return key.startswith("branch.") and key.endswith((".remote", ".merge"))

    before = listed(content)
    after = listed(configtext.without_remote(content, b"origin"))
    kept = [each for each in before if not goes(each)]
    assert [each for each in after if not may_go(each)] == [each for each in kept if not may_go(each)]
    assert not [each for each in after if each.startswith("branch.") and each.endswith(".remote\norigin")]


def test_a_remote_is_told_without_its_password() -> None:
    """Also where somebody logs the object."""
    assert repr(Remote("x", "https://ann:secret@host/a", "https://secret@host/a")) == (
        "Remote('x', 'https://host/a', 'https://host/a')"
    )


def test_one_without_an_address_or_with_a_program_is_none_of_ours(repository: Repository) -> None:
    git(folder(repository), "config", "remote.bare.fetch", "+refs/heads/*:refs/remotes/bare/*")
    with pytest.raises(NotFoundError, match="'bare' has no address"):
        remotes.find(repository, "bare")
    git(folder(repository), "remote", "add", "hg", "/tmp/a")
    git(folder(repository), "config", "remote.hg.vcs", "hg")
    with pytest.raises(UnsupportedError, match="helper program"):
        remotes.find(repository, "hg")
