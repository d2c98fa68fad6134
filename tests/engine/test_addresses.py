"""Addresses are taken apart as git does it, and what is none is refused."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine.wire.addresses import parse, shown
from gitstate.errors import InvalidInputError


@pytest.mark.parametrize(
    ("url", "kind", "user", "host", "port", "path"),
    [
        ("/tmp/a.git", "path", "", "", None, "/tmp/a.git"),
        ("file:///tmp/a%20b/../c", "path", "", "", None, "/tmp/c"),
        ("file://localhost/tmp/a", "path", "", "", None, "/tmp/a"),
        ("git://host/a.git", "git", "", "host", None, "/a.git"),
        ("git://host:9999/~me/a", "git", "", "host", 9999, "~me/a"),
        ("git://[::1]:9999/a", "git", "", "::1", 9999, "/a"),
        ("ssh://me@host:22/a%20b", "ssh", "me", "host", 22, "/a b"),
        ("SSH://host/~me/a", "ssh", "", "host", None, "~me/a"),
        ("me@host:a", "ssh", "me", "host", None, "a"),
        ("host:/a", "ssh", "", "host", None, "/a"),
        ("me@[::1]:a", "ssh", "me", "::1", None, "a"),
        ("[host:22]:a", "ssh", "", "host", 22, "a"),
        ("https://host/a/", "http", "", "host", None, "/a"),
        ("https://b\u00fccher.example/a", "http", "", "xn--bcher-kva.example", None, "/a"),
        ("http://me:p%40@host:8080/a b", "http", "me", "host", 8080, "/a%20b"),
    ],
)
def test_the_forms(url: str, kind: str, user: str, host: str, port: int | None, path: str) -> None:
    address = parse(url)
    assert (address.kind, address.user, address.host, address.port, address.path) == (kind, user, host, port, path)


def test_a_path_begins_somewhere(tmp_path: Path) -> None:
    assert parse("../a", tmp_path / "x").path == str(tmp_path / "a")
    assert parse("./a:b", tmp_path).path == str(tmp_path / "a:b")
    assert parse("a/b:c", tmp_path).path == str(tmp_path / "a/b:c")


NONE = (
    "",
    "ext::sh -c true",
    "fd::3",
    "http::x",
    "::x",
    "-x",
    "-oProxyCommand=x:y",
    "ssh://-oProxyCommand=x/y",
    "ssh://-oProxyCommand=x@host/y",
    "ssh://host",
    "ssh://host/",
    "host:",
    "host:-x",
    "host:a\nb",
    "git://host/a%0ab",
    "git://host%00/a",
    "https://host/a\r\nX-Header: b",
    "https://host/a%0d%0aX",
    "http://",
    "https://host:notaport/a",
    "https://[::1/a",
    "https://ho st/a",
    "file://elsewhere/a",
    "ftp://host/a",
    "rsync://host/a",
    "data://x",
    "ssh://host:0/a",
    "git://host:65536/a",
    "[host:65536]:a",
    f"[host:{'9' * 5000}]:a",
    "ssh://$(touch x)@host/a",
    "ssh://%60touch%20x%60@host/a",
    "a;touch x@host:a",
)


@pytest.mark.parametrize("url", NONE)
def test_what_is_none(url: str) -> None:
    with pytest.raises(InvalidInputError) as failed:
        parse(url)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://ann:secret@host/a", "https://host/a"),
        ("https://secret@host/a", "https://host/a"),
        ("https://ann:se:c@re@t@host/a", "https://host/a"),
        ("ssh://ann:secret@host/a", "ssh://ann@host/a"),
        ("ann@host:a", "ann@host:a"),
        ("git://ann:secret@host/a", "git://host/a"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("file:///srv/a@b", "file:///srv/a@b"),
    ],
)
def test_what_is_shown_has_no_password(url: str, safe: str) -> None:
    assert shown(url) == safe
    address = parse(url)
    assert address.shown == safe
    assert "secret" not in repr(address) and "se:c@re@t" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:secret/x@host/a",
        "https://ann:x/secret@host/a",
        "https://ann:secret#x@host/a",
        "https://ann:x?secret@host/a",
        "https://ann:secret@ho\u2100st/a",
        "https://ann:secret@[::1/a",
        "https:///ann:secret@host/a",
        "https://ann:secret@a..b/a",
        "https://ann:secret@.a/a",
        "ssh://ann:secret/x@host/a",
        "ext::https://ann:secret@host/a",
        "-https://ann:secret@host/a",
        "ftp://ann:secret@host/a",
    ],
)
def test_what_is_none_is_told_without_its_password(url: str) -> None:
    """Which people forget to quote."""
    with pytest.raises(InvalidInputError) as failed:
        parse(url)
    assert "secret" not in str(failed.value) and "secret" not in shown(url)


@given(st.text(max_size=40) | st.from_regex(r"(https?|ssh|git|file)://[^/]{0,10}(/.*)?", fullmatch=True))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        address = parse(text)
    except InvalidInputError as error:
        assert not set("\0\n\r\x1b") & set(str(error))
        return
    assert not set("\0\n\r\x1b") & set("".join([address.user, address.host, address.path, address.password]))
    assert not (address.user or address.host).startswith("-")
    assert not address.path.startswith("-")


def test_git_means_the_same_by_them(tmp_path: Path) -> None:
    """git tells what it would run."""
    for url in ("ssh://me@host:22/a%20b", "ssh://host/~me/a", "me@host:a", "host:/a'b", "[host:22]:a", "me@[::1]:a"):
        done = subprocess.run(
            ["git", "ls-remote", url],
            env={"PATH": "/usr/bin:/bin", "GIT_SSH_COMMAND": "echo >&2 told", "GIT_SSH_VARIANT": "ssh", "HOME": "/"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        told = next(line for line in done.stderr.splitlines() if line.startswith("told"))
        address = parse(url)
        where = f"{address.user}@{address.host}" if address.user else address.host
        path = address.path.replace("'", "'\\''")
        expected = [*(["-p", str(address.port)] if address.port else []), where, f"git-upload-pack '{path}'"]
        assert told.endswith(" ".join(expected)), url
