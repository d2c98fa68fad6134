"""Who asks over HTTP: where credentials come from, whom they are shown, and that nobody is asked for them."""

import os
from pathlib import Path

import pytest

from gitstate.engine.wire.addresses import parse
from gitstate.engine.wire.credentials import Credentials
from gitstate.engine.wire.transport import Outgoing, RefUpdate, Transport
from gitstate.errors import AccessDeniedError, InvalidInputError, NoRepositoryError
from tests.engine.repositories import make, one_more, pack_of
from tests.engine.web_access import at, basic, one_repository, sent
from tests.git import git
from tests.servers import web

root = pytest.fixture(scope="module")(one_repository)


def test_the_address_holds_a_password(root: Path, home: Path) -> None:
    with web(root, user="ann", password="p@ss:w/d") as server:
        assert at(server, login="ann:p%40ss%3Aw%2Fd").refs()
        assert sent(server) == [basic("ann", "p@ss:w/d")], "without being asked"
        with pytest.raises(AccessDeniedError, match="does not take the credentials") as failed:
            at(server, login="ann:wrong").refs()
        assert "wrong" not in str(failed.value)
        with pytest.raises(AccessDeniedError, match=r"wants credentials.*GITSTATE_TOKEN"):
            at(server).refs()


def test_a_token_of_the_environment(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, user="x-access-token", password="t0ken") as server:
        there = at(server)
        assert there.refs() and there.refs()
        right = basic("x-access-token", "t0ken")
        assert sent(server) == ["", right, right], "the second time it is known"
    monkeypatch.setenv("GITSTATE_USERNAME", "ann")
    with web(root, user="ann", password="t0ken") as server:
        assert at(server).refs()
    with web(root, bearer="t0ken") as server:
        assert at(server).refs(), "the challenge names no other way"
        assert "t0ken" not in repr(Credentials())


def test_a_token_goes_over_no_open_network(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, user="x", password="t0ken") as server:
        monkeypatch.setenv("http_proxy", server.url)  # it serves what it is asked for, whichever host
        server.answer = (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
        for host in ("forge.example", "localhost"):  # which is the machine of the proxy
            with pytest.raises(AccessDeniedError, match="not sent over http"):
                Transport(f"http://{host}/a.git", timeout=10).refs()
        assert sent(server) == ["", ""]


def test_a_token_goes_to_this_machine(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    with web(root, bearer="t0ken") as server:
        assert Transport(f"http://localhost:{server.port}/a.git", timeout=10).refs()


def test_netrc(root: Path, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    with web(root, user="ann", password="secret") as server:
        assert at(server).refs()
        with pytest.raises(AccessDeniedError):
            at(server, login="bob").refs()


def test_netrc_for_all_hosts(root: Path, home: Path) -> None:
    """It is for those that the user names, not for whoever another server names."""
    (home / ".netrc").write_text("default login ann password secret\n")
    with web(root, user="ann", password="secret") as server, web(root, redirect=server.url) as first:
        assert at(server).refs()
        server.requests.clear()
        with pytest.raises(AccessDeniedError):
            at(first).refs()
        assert sent(server) == [""]


HELPER = """#!/bin/sh
echo "$1" >> {log}
cat >> {log}
[ "$1" = get ] && printf 'username=ann\\npassword=%s\\n' "$(cat {secret})"
true
"""


@pytest.fixture
def helper(home: Path) -> Path:
    """A credential helper of the user's; give the folder with what it knows (``secret``) and was asked (``log``)."""
    folder = home / "helper"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    (folder / "log").write_text("")
    (folder / "run").write_text(HELPER.format(log=folder / "log", secret=folder / "secret"))
    (folder / "run").chmod(0o755)
    git(home, "config", "--global", "credential.helper", str(folder / "run"))
    return folder


def test_a_credential_helper(root: Path, helper: Path) -> None:
    with web(root, user="ann", password="secret") as server:
        there = at(server)
        assert there.refs() and there.refs()
        log = (helper / "log").read_text()
        assert log.count("get\n") == 1 and log.count("store\n") == 1 and f"host=127.0.0.1:{server.port}" in log
        (helper / "secret").write_text("wrong")
        with pytest.raises(AccessDeniedError, match="does not take"):
            at(server).refs()
        assert (helper / "log").read_text().count("erase\n") == 1


def test_a_helper_that_remembers(root: Path, helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git's own starts something that goes on when it has ended."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    git(helper, "config", "--global", "--replace-all", "credential.helper", "cache --timeout=60")
    git(helper, "config", "--global", "--add", "credential.helper", str(helper / "run"))
    try:
        with web(root, user="ann", password="secret") as server:
            assert at(server).refs() and at(server).refs()
    finally:
        git(helper, "credential-cache", "exit")
    assert (helper / "log").read_text().count("get\n") == 1


def test_a_repository_names_no_helper(root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", "evil")
    git(tmp_path / "evil", "config", "credential.helper", f"!touch {tmp_path}/ran;")
    git(tmp_path / "evil", "config", "core.askPass", f"{tmp_path}/none")
    monkeypatch.chdir(tmp_path / "evil")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "evil/.git"))
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        at(server).refs()
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked(root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = tmp_path / "ask"
    asking.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho x\n")
    asking.chmod(0o755)
    git(home, "config", "--global", "core.askPass", str(asking))
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(asking))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        at(server).refs()
    assert not (tmp_path / "asked").exists()


def test_a_helper_that_waits_for_somebody(root: Path, home: Path) -> None:
    git(home, "config", "--global", "credential.helper", "!sleep 60;")
    with web(root, user="ann", password="secret") as server, pytest.raises(AccessDeniedError):
        Transport(f"{server.url}/a.git", timeout=0.5).refs()


def test_a_header_of_the_user(root: Path, home: Path) -> None:
    with web(root, bearer="t0ken") as server:
        git(home, "config", "--global", f"http.{server.url}/.extraHeader", "Authorization: Bearer t0ken")
        assert at(server).refs()


def test_a_header_of_the_user_gives_way_to_who_the_address_names(root: Path, home: Path) -> None:
    with web(root, user="ann", password="secret") as server:
        git(home, "config", "--global", "http.extraHeader", "Authorization: Bearer of somebody else")
        git(home, "config", "--global", "--add", "http.extraHeader", "X-Team:  state ")
        assert at(server, login="ann:secret").refs()
        assert sent(server) == [basic("ann", "secret")]
        assert server.requests[0][2]["x-team"] == "state"


def test_a_header_of_the_user_is_one_line(root: Path, home: Path) -> None:
    with web(root) as server:
        git(home, "config", "--global", "http.extraHeader", "X-Team: a\nX-Other: b")
        with pytest.raises(InvalidInputError, match="break of line"):
            at(server).refs()
        assert server.requests == []


def test_a_push_is_authorized(root: Path, home: Path) -> None:
    origin, work = make(root, "pushed")
    old = git(work, "rev-parse", "HEAD").strip()
    new = one_more(work)
    with web(root, user="ann", password="secret") as server:
        there = at(server, "/pushed.git", "ann:secret")
        update = RefUpdate("refs/heads/main", old, new)
        assert there.push(lambda refs: Outgoing([update], pack_of(work, new, f"^{old}"))).rejected == {}
        assert [method for method, _, _ in server.requests] == ["GET", "POST"]
    assert git(origin, "rev-parse", "main").strip() == new


def test_credentials_do_not_follow_to_another_host(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITSTATE_TOKEN", "t0ken")
    git(home, "config", "--global", "http.extraHeader", "X-Secret: 1")
    with web(root, user="ann", password="secret") as other, web(root, redirect=other.url) as first:
        with pytest.raises(AccessDeniedError, match=rf"TOKEN is not sent where .* give {other.url}/a.git as"):
            at(first, login="ann:secret").refs()
        assert set(sent(other)) == {""}
        assert not any("x-secret" in headers for _, _, headers in other.requests)


def test_a_helper_that_knows_more_than_passwords(
    root: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git of 2.46 or later hands on what else a server takes."""
    with web(root, bearer="t0ken") as server:
        answer = f"protocol=http\nhost=127.0.0.1:{server.port}\nauthtype=Bearer\ncredential=t0ken\n"
        (tmp_path / "answer").write_text(answer)
        script = f'[ "${{!#}}" = fill ] && cat {tmp_path}/answer; cat >> {tmp_path}/told'
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/git").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "bin/git").chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
            with pytest.raises(NoRepositoryError):
                at(server, "/none.git").refs()
            there = Credentials()
            shown = next(there.on_demand(parse(f"{server.url}/a.git"), ["Bearer"], named=True))
            assert shown.header == "Bearer t0ken" and "t0ken" not in repr(shown)
        told = (tmp_path / "told").read_text()
        assert "capability[]=authtype" in told and "wwwauth[]=Bearer" in told
