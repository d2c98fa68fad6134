"""Who commits."""

import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from gitstate.engine.identity import Identity
from gitstate.engine.repository import Repository
from tests.engine.conftest import OpenEngine, git, save


def who(repository: Repository) -> tuple[str, str]:
    signature = Identity(repository).signature()
    return signature.name, signature.email


def test_the_nearest_source_wins(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who(repository) == ("A Tester", "tester@example.org")
    git(tmp_path / "store", "config", "user.name", "Of This Store")
    assert who(repository) == ("Of This Store", "tester@example.org")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Env")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "env@example.org")
    assert who(repository) == ("Env", "env@example.org")


def test_without_configuration_it_is_user_and_host(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.delenv("EMAIL", raising=False)
    name, email = who(repository)
    assert name == "somebody"
    assert email.startswith("somebody@")
    assert len(email) > len("somebody@")


def test_the_time_is_now_with_the_local_offset(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    try:
        signature = Identity(repository).signature()
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert signature.offset == 330
    assert abs(signature.time - time.time()) < 10


def test_no_name_breaks_a_commit(open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Evil <x@y>\n\nparent of none")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "a>b\nc")
    save(open_engine(), {"a": b"1"})
    assert git(tmp_path / "store", "log", "--format=%an|%ae") == "Evil  x@y parent of none|a b c\n"


def test_a_user_without_a_name_is_unknown(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run with a number of its own."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", Mock(side_effect=KeyError("uid not found")))
    assert who(repository)[0] == "unknown"
    assert who(repository)[1].startswith("unknown@")
