"""The algorithm of sync where something goes wrong: kills, cuts, silence, hostile remotes; and over each transport."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gitstate import errors
from gitstate.engine.git import GitEngine
from gitstate.engine.transfer.incoming import Incoming
from gitstate.engine.wire.transport import Transport
from gitstate.format.message import Message
from gitstate.store.documents import Draft
from gitstate.store.remote import cloning, companions, links, sync
from gitstate.store.remote.cloning import clone, folder_for
from gitstate.store.remote.links import Link
from gitstate.store.remote.outcomes import SyncReport
from gitstate.store.store import Store
from tests import servers
from tests.git import fsck, git
from tests.stores import NOTES

MAIN = "refs/heads/main"
RESCUES = "refs/gitstate/rescue/"


def save(store: Store, document: str, **value: Any) -> None:
    message = Message(f"{document}: {value}", trailers=(("Gitstate-Note", document),))
    store.submit(NOTES, document, lambda _: Draft(message, value={"id": document, **value})).result()


def value_of(store: Store, document: str) -> Any:
    found = store.load(NOTES, document)
    return None if found is None else found.value()


def head(folder: Path, ref: str = "main") -> str:
    return git(folder, "rev-parse", ref).strip()


def refs(folder: Path, below: str) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", below).split()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """A bare repository in the middle, with the history of the store ``one``; git checks both after the test."""
    hub = servers.bare(tmp_path / "hub.git")
    with Store.open(tmp_path / "one") as store:
        save(store, "shared", n=0)
        store.remotes.add("origin", str(hub))
        store.remotes.sync()
    yield hub
    fsck(hub)
    fsck(tmp_path / "one")


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    with Store.open(folder, create=False) as store:
        store.serve(NOTES)
        yield store


@contextmanager
def cloned(hub: Path | str, folder: Path) -> Iterator[Store]:
    with clone(str(hub), folder, collections=[NOTES]) as store:
        yield store


@pytest.mark.parametrize("transport", servers.TRANSPORTS)
def test_sync_goes_over_every_transport(tmp_path: Path, hub: Path, transport: str) -> None:
    with servers.served(transport, tmp_path, tmp_path / "scratch") as url:
        with cloned(f"{url}/hub.git", tmp_path / "other") as other, opened(tmp_path / "one") as one:
            git(tmp_path / "one", "remote", "set-url", "origin", f"{url}/hub.git")
            assert value_of(other, "shared") == {"id": "shared", "n": 0}
            save(one, "of-one", n=1)
            save(other, "of-the-other", n=2)
            assert one.remotes.sync().pushed == 1
            report = other.remotes.sync()
            assert (report.pushed, report.fetched) == (2, 1)
            assert one.remotes.sync().fetched == 2
            assert one.remotes.sync().is_up_to_date and other.remotes.sync().is_up_to_date
        assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")


MOMENTS: list[tuple[Any, str, str]] = [
    (Transport, "push", "before"),
    (Incoming, "index", "after"),
    (Incoming, "check", "after"),
    (Incoming, "admit", "after"),
    (GitEngine, "move_ref", "before"),
    (GitEngine, "move_ref", "after"),
    (sync, "keep_losers", "after"),
    (GitEngine, "publish", "before"),
    (GitEngine, "publish", "after"),
    (Link, "pause", "before"),
]


def sync_and_die(folder: Path, where: Any, name: str, when: str) -> int:
    """Sync in a process that dies at a moment, and return how it ended: 9, as one that was killed.

    It is a fork of this one: to start Python again takes longer than all the rest.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            work = getattr(where, name)

            def dying(*words: Any, **options: Any) -> None:
                if when == "after":
                    work(*words, **options)
                os._exit(9)

            setattr(where, name, dying)
            store = Store.open(folder, create=False)
            store.serve(NOTES)
            store.remotes.sync()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"{moment[0].__name__}-{moment[1]}-{moment[2]}")
def test_a_sync_that_is_killed_is_gone_on_with(tmp_path: Path, hub: Path, moment: tuple[Any, str, str]) -> None:
    with cloned(hub, tmp_path / "other") as other:
        save(other, "shared", n=1)
        save(other, "of-the-other", n=1)
        other.remotes.sync()
        with opened(tmp_path / "one") as one:
            save(one, "shared", n=2)
            save(one, "of-one", n=1)
        assert sync_and_die(tmp_path / "one", *moment) == 9
        with opened(tmp_path / "one") as one:
            assert value_of(one, "of-one") == {"id": "of-one", "n": 1}
            one.remotes.sync()
            other.remotes.sync()
            assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")
            for store in (one, other):
                assert value_of(store, "of-one") and value_of(store, "of-the-other")
                assert value_of(store, "shared")["n"] in (1, 2)
                assert store.verify(NOTES).ok
                assert store.remotes.sync().is_up_to_date
        assert len(refs(hub, "refs/gitstate/rescue/")) == 1
        assert refs(tmp_path / "one", "refs/gitstate/rescue/") == refs(hub, "refs/gitstate/rescue/")
        assert not list((tmp_path / "one/.git/gitstate").glob("incoming-*"))
        assert not list((tmp_path / "one/.git/objects/pack").glob("*.keep"))


def test_a_push_that_arrived_and_was_not_noted_is_seen_by_the_next_one(tmp_path: Path, hub: Path) -> None:
    with opened(tmp_path / "one") as one:
        save(one, "shared", n=1)
        git(tmp_path / "one", "push", "-q", str(hub), "main")  # the tracking ref stays where it was
        report = one.remotes.sync()
        assert report.is_up_to_date
        assert one.remotes.standing().tip == head(hub)


@contextmanager
def silence() -> Iterator[tuple[str, threading.Event]]:
    """Give the address of a server that takes connections and says nothing, and what tells that there was one."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def listen() -> None:
            try:
                while True:
                    kept.append(server.accept()[0])
                    asked.set()
            except OSError:
                return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield f"git://127.0.0.1:{server.getsockname()[1]}/x.git", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in kept:
                connection.close()


def test_a_silent_remote_is_given_up(tmp_path: Path, hub: Path) -> None:
    with silence() as (url, _), opened(tmp_path / "one") as one:
        one.remotes.add("far", url)
        for verb in (one.remotes.sync, one.remotes.fetch, one.remotes.push):
            begun = time.monotonic()
            with pytest.raises(errors.UnreachableError):
                verb("far", timeout=0.3)
            assert time.monotonic() - begun < 5
        save(one, "shared", n=7)  # saves go on
        for wrong in (0, -1, float("inf"), True, "1"):
            with pytest.raises(errors.InvalidInputError, match="timeout"):
                one.remotes.sync("far", timeout=wrong)  # type: ignore[arg-type]


def test_closing_the_store_ends_a_sync_and_those_that_wait_for_their_turn(tmp_path: Path, hub: Path) -> None:
    ended: list[type[BaseException]] = []

    def work(store: Store) -> None:
        try:
            store.remotes.sync("far")
        except errors.GitStateError as error:
            ended.append(type(error))

    with silence() as (url, asked):
        store = Store.open(tmp_path / "one", create=False)
        store.serve(NOTES)
        store.remotes.add("far", url)
        threads = [threading.Thread(target=work, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert asked.wait(10)
        save(store, "shared", n=8)
        begun = time.monotonic()
        store.close()
        for thread in threads:
            thread.join(10)
        assert time.monotonic() - begun < 3
        assert ended == [errors.ClosedError] * 2
    with pytest.raises(errors.ClosedError):
        store.remotes.sync()
    with opened(tmp_path / "one") as one:
        assert value_of(one, "shared")["n"] == 8


@pytest.mark.parametrize("upwards", [True, False])
def test_a_connection_that_is_cut_anywhere_harms_nothing(tmp_path: Path, hub: Path, upwards: bool) -> None:
    with servers.daemon(tmp_path) as url, cloned(hub, tmp_path / "other") as other, opened(tmp_path / "one") as one:
        port = int(url.rpartition(":")[2])
        for number, cut in enumerate((1, 40, 300, 900, 2500)):
            save(other, f"other-{number}", text="x" * 500)
            other.remotes.sync()
            save(one, f"one-{number}", text="y" * 500)
            with servers.proxy(port, cut_after=cut, upwards=upwards) as there, suppress(errors.SyncError):
                one.remotes.sync(f"git://127.0.0.1:{there.port}/hub.git", timeout=5)
            assert git(hub, "rev-list", "--count", "main")
            one.remotes.sync()
            other.remotes.sync()
            assert head(hub) == head(tmp_path / "one") == head(tmp_path / "other")


def hostile(hub: Path, folder: Path, mode: str, path: str) -> None:
    """Push a tree that no git of a friend's makes."""
    git(folder.parent, "clone", "-q", str(hub), str(folder))
    blob = (
        subprocess.run(
            ["git", "hash-object", "-w", "--stdin"], cwd=folder, input=b"../../.ssh", capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    entries = git(folder, "ls-tree", "main") + f"{mode} blob {blob}\t{path}\n"
    tree = subprocess.run(
        ["git", "mktree"], cwd=folder, input=entries, capture_output=True, check=True, text=True
    ).stdout.strip()
    commit = git(folder, "commit-tree", tree, "-p", "main", "-m", "harmless").strip()
    git(folder, "push", "-q", "origin", f"{commit}:{MAIN}")


@pytest.mark.parametrize(("mode", "path"), [("120000", "link"), ("100644", ".GIT")])
def test_what_is_hostile_is_refused_whole(tmp_path: Path, hub: Path, mode: str, path: str) -> None:
    hostile(hub, tmp_path / "eve", mode, path)
    with opened(tmp_path / "one") as one:
        before = head(tmp_path / "one"), sorted(os.listdir(tmp_path / "one/.git/objects/pack"))
        for verb in (one.remotes.sync, one.remotes.fetch):
            with pytest.raises(errors.UntrustedError) as raised:
                verb()
            assert path in str(raised.value) + str(raised.value.problems)
        assert (head(tmp_path / "one"), sorted(os.listdir(tmp_path / "one/.git/objects/pack"))) == before
        assert head(tmp_path / "one", "refs/remotes/origin/main") == before[0]
        save(one, "shared", n=5)
    with pytest.raises(errors.UntrustedError):
        clone(str(hub), tmp_path / "clone")
    assert not (tmp_path / "clone").exists()
    shutil.rmtree(hub)
    servers.bare(hub)


def test_what_git_fetched_is_checked_as_well(tmp_path: Path, hub: Path) -> None:
    hostile(hub, tmp_path / "eve", "120000", "link")
    git(tmp_path / "one", "fetch", "-q", "origin")
    with opened(tmp_path / "one") as one:
        before = head(tmp_path / "one")
        with pytest.raises(errors.UntrustedError):
            one.remotes.sync()
        assert head(tmp_path / "one") == before
    shutil.rmtree(hub)
    servers.bare(hub)
    git(tmp_path / "one", "update-ref", "-d", "refs/remotes/origin/main")


def test_a_hostile_rescue_is_left_out_and_stops_nothing(tmp_path: Path, hub: Path) -> None:
    second = servers.bare(tmp_path / "second.git", source=hub)
    hostile(second, tmp_path / "eve", "120000", "link")
    evil = head(second)
    git(second, "update-ref", MAIN, head(hub))
    git(second, "update-ref", f"refs/gitstate/rescue/shared/{evil}", evil)
    with opened(tmp_path / "one") as one, cloned(hub, tmp_path / "other") as other:
        save(other, "of-the-other", n=1)
        other.remotes.sync(str(second))
        report = one.remotes.sync(str(second))
        assert [(each.fate, each.revision) for each in report.companions] == [("refused", evil)]
        assert not report.is_clean and "link" in report.companions[0].detail
        assert value_of(one, "of-the-other") is not None
        assert refs(tmp_path / "one", "refs/gitstate/rescue/") == []


def test_more_rescues_than_a_side_may_have_stay_behind_and_stop_nothing(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "_MOST", 2)
    with opened(tmp_path / "one") as one, cloned(hub, tmp_path / "other") as other:
        for number in range(3):
            save(other, "shared", n=number)
            revision = head(tmp_path / "other")
            git(tmp_path / "other", "update-ref", f"{RESCUES}shared/{revision}", revision)
        for store, side in ((other, "there"), (one, "here")):
            for _ in range(2):
                report = store.remotes.sync()
                (left,) = [each for each in report.companions if each.fate == "refused"]
                assert f"no more than 2 rescues and pins are kept {side}, and 1 stay behind" in left.detail
            if side == "there":
                git(hub, "fetch", "-q", tmp_path / "other", f"{RESCUES}*:{RESCUES}*")
        assert len(refs(tmp_path / "one", RESCUES)) == 2
        assert value_of(one, "shared") == {"id": "shared", "n": 2}
        rescues = one.rescues(NOTES)
        rescues.drop(rescues.all()[0])
        fates = [each.fate for each in one.remotes.sync().companions]
        assert sorted(fates) == ["dropped there", "received"]
        assert one.remotes.sync().is_up_to_date


def test_a_clone_into_what_a_killed_one_left_begins_anew(tmp_path: Path, hub: Path) -> None:
    script = (
        "import os, sys\nfrom gitstate.engine.transfer import incoming\nfrom gitstate.store.remote import cloning\n"
        "incoming.Incoming.check = lambda *_: os._exit(9)\ncloning.clone(sys.argv[1], sys.argv[2])\n"
    )
    command = [sys.executable, "-c", script, str(hub), str(tmp_path / "other")]
    assert subprocess.run(command).returncode == 9
    assert (tmp_path / "other/.git").is_dir()
    with cloned(hub, tmp_path / "other") as other:
        assert value_of(other, "shared") is not None
    with pytest.raises(errors.ExistsError):
        clone(str(hub), tmp_path / "other")
    fsck(tmp_path / "other")


def test_a_clone_is_what_gits_own_is(tmp_path: Path, hub: Path) -> None:
    with cloned(hub, tmp_path / "ours"):
        pass
    git(tmp_path, "clone", "-q", str(hub), "gits")
    for words in (
        ("config", "--get-regexp", "^(remote|branch)"),
        ("for-each-ref",),
        ("symbolic-ref", "refs/remotes/origin/HEAD"),
        ("status", "--branch"),
    ):
        assert git(tmp_path / "ours", *words) == git(tmp_path / "gits", *words)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/srv/state.git", "state"),
        ("/srv/state/.git/", "state"),
        ("git@host:team/state.git", "state"),
        ("host:state", "state"),
        ("https://host/a/b", "b"),
        ("../x/", "x"),
    ],
)
def test_a_clone_goes_where_gits_would(url: str, folder: str) -> None:
    assert folder_for(url) == folder


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "one") as one:
        save(one, "shared", n=3)

        def refused(*_: Any, **__: Any) -> None:
            raise errors.ReadOnlyError("the store can be read, but not written")

        monkeypatch.setattr("gitstate.engine.git.GitEngine.move_ref", refused)
        report = one.remotes.push()  # nothing need be written here for that
        assert report.pushed == 1 and head(hub) == report.head
        monkeypatch.undo()


def test_threads_take_turns(tmp_path: Path, hub: Path) -> None:
    reports: list[SyncReport] = []
    with opened(tmp_path / "one") as one:

        def work(number: int) -> None:
            save(one, f"note-{number}", n=number)
            reports.append(one.remotes.sync())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(reports) == 4 and sum(report.pushed for report in reports) == 4
        assert head(hub) == head(tmp_path / "one")


def test_a_clone_that_fails_removes_nothing_of_others(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/state"
    with pytest.raises(KeyError), cloning._vacated(path):
        path.mkdir(parents=True)
        (path / "file").write_text("ours")
        (tmp_path / "new/theirs").write_text("of another clone")
        raise KeyError
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["theirs"]


def test_who_interrupts_a_call_ends_what_talks_to_the_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(links, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        links.attended(lambda: ended.wait(30), threading.Event(), ended.set)
    assert ended.is_set() and "gitstate-remote" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("url", ["/", "..", "host:..", "/srv/a\x1b"])
def test_an_address_that_names_no_folder_asks_for_one(url: str) -> None:
    with pytest.raises(errors.InvalidInputError, match="names no folder"):
        folder_for(url)


def test_a_clone_finds_the_branch_or_says_which_there_are(tmp_path: Path) -> None:
    hub = servers.bare(tmp_path / "new.git")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(errors.InvalidInputError, match="is a file"):
        clone(str(hub), tmp_path / "file", collections=[NOTES])
    assert (tmp_path / "file").read_text() == "mine"
    with cloned(hub, tmp_path / "first") as store:
        save(store, "a", n=1)
        made = store.head()
    git(tmp_path / "first", "push", "-q", "origin", "main:team/one")
    git(hub, "symbolic-ref", "HEAD", "refs/heads/elsewhere")
    with cloned(hub, tmp_path / "only") as store:
        assert store.head() == made, "the only branch that there is"
    git(tmp_path / "first", "push", "-q", "origin", "main:team/two")
    for branch in (None, "three"):
        with pytest.raises(errors.NotFoundError, match=f"has no branch {branch or 'main'}") as told:
            clone(str(hub), tmp_path / "none", collections=[NOTES], branch=branch)
        assert "team/one" in str(told.value) and "team/two" in str(told.value)
        assert not (tmp_path / "none").exists()
    with clone(str(hub), tmp_path / "two", collections=[NOTES], branch="team/two") as store:
        assert store.head() == made
