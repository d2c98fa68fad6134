"""What a publish that fails in the middle leaves, what is on the disk before what, and how errors name their place."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from gitstate.engine import brought, cgit, files, loose, packs, refs
from gitstate.engine.base import Arrival
from gitstate.engine.cgit import Changed
from gitstate.engine.git import GitEngine
from gitstate.engine.journal import Journal
from gitstate.engine.locks import alone
from gitstate.engine.objects import GitObject, parse_commit
from gitstate.errors import BusyError, CorruptionError, StorageError
from tests.engine.conftest import OpenEngine, content, git, packs_of, save, synced_while
from tests.git import loose as loose_file

REF = "refs/heads/main"
OTHER = "refs/gitstate/rescue/one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def recorded(folder: Path) -> list[str]:
    """Return what the records of the journal say, as another process reads them."""
    journal = Journal(folder / ".git/gitstate/journal")
    journal.refresh()
    found = [record.after for record in journal.records]
    journal.close()
    return found


def test_what_the_branch_moved_to_stays_whatever_fails_then(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    swap = refs.swap

    def swap_and_fail(*args: object, **options: object) -> None:
        swap(*args, **options)  # type: ignore[arg-type]
        raise OSError(5, "the folder could not be synced")

    with monkeypatch.context() as patch:
        patch.setattr(refs, "swap", swap_and_fail)
        with pytest.raises(StorageError, match="Input/output error"):
            save(engine, {"a": b"2"})
    assert content(engine, "a") == content(open_engine(), "a") == b"2"
    assert recorded(folder) == [engine.head()], "a cut of the power must not take it either"
    save(engine, {"a": b"3"})


def test_objects_stay_where_nobody_can_tell_whether_the_branch_moved(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    read, refused = refs.read, OSError(5, "broken")

    def move_and_break(*_: object, new: str, **__: object) -> None:
        (folder / ".git" / REF).write_text(f"{new}\n")
        monkeypatch.setattr(refs, "read", Mock(side_effect=refused))
        raise refused

    with monkeypatch.context() as patch:
        patch.setattr(refs, "swap", move_and_break)
        with pytest.raises(StorageError):
            save(engine, {"a": b"2"})
    monkeypatch.setattr(refs, "read", read)
    assert engine.head() != head
    assert content(engine, "a") == content(open_engine(), "a") == b"2"
    assert recorded(folder) == [engine.head()]


@pytest.mark.parametrize("refused", ["publish", "create_ref"])
def test_leftovers_are_looked_for_after_a_failure_and_not_each_time(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    left = folder / ".git/objects/pack/tmp_pack_gitstate_1_1"
    left.write_bytes(b"x")
    save(engine, {"a": b"2"})
    assert left.exists()
    with monkeypatch.context() as patch:
        patch.setattr(refs, "swap", Mock(side_effect=OSError(5, "broken")))
        with pytest.raises(StorageError):
            if refused == "publish":
                save(engine, {"a": b"3"})
            else:
                engine.create_ref(OTHER, head, note="made")
    save(engine, {"a": b"4"})
    assert not left.exists()


def test_leftovers_of_the_dead_are_looked_for_until_that_was_done(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    left = folder / ".git/objects/pack/tmp_pack_gitstate_1_1"
    left.write_bytes(b"x")
    (folder / ".git/gitstate/lock").write_bytes(b"      4711\n")  # whoever held it did not let go of it
    with monkeypatch.context() as patch:
        patch.setattr(packs, "remove_leftovers", Mock(side_effect=OSError(5, "broken")))
        with pytest.raises(StorageError):
            save(engine, {"a": b"2"})
    save(engine, {"a": b"2"})
    assert not left.exists()


@pytest.mark.parametrize("step", ["publish", "create", "log", "move", "delete"])
def test_a_git_that_holds_a_ref_is_waited_for_as_long_as_was_said(
    open_engine: OpenEngine, folder: Path, step: str
) -> None:
    save(open_engine(), {"a": b"1"})
    engine = open_engine(ref_timeout=0.05)
    head = engine.head()
    assert head is not None
    if step in ("move", "delete"):
        engine.create_ref(OTHER, head)
    lock = folder / f".git/{REF if step == 'publish' else OTHER}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    steps: dict[str, Callable[[], object]] = {
        "publish": lambda: save(engine, {"a": b"2"}),
        "create": lambda: engine.create_ref(OTHER, head),
        "log": lambda: engine.create_ref(OTHER, head, note="made"),
        "move": lambda: engine.move_ref(OTHER, expected=head, new=head, note="moved"),
        "delete": lambda: engine.delete_ref(OTHER, expected=head),
    }
    with pytest.raises(BusyError, match=r"another git for more than 0\.05 s"):
        steps[step]()
    lock.unlink()
    steps[step]()


@pytest.mark.parametrize("note", ["", "made"])
def test_the_objects_of_a_ref_are_on_the_disk_before_its_name(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    blob, before = GitObject("blob", b"kept"), set(packs_of(folder))
    synced = synced_while(monkeypatch, lambda: not (folder / ".git" / OTHER).exists())
    engine.create_ref(OTHER, head, objects=[blob], note=note)
    (pack,) = set(packs_of(folder)) - before
    assert {path.stat().st_ino for path in (pack, pack.with_suffix(".idx"), pack.parent)} <= {*synced}


def test_a_pack_that_comes_with_a_ref_is_joined_with_others_some_time(open_engine: OpenEngine, folder: Path) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    engine.close()
    again = open_engine()
    again.create_ref(OTHER, head, objects=[GitObject("blob", b"kept")])
    assert again._background._due > 0
    other = open_engine()
    other.create_ref(f"{OTHER}/none".replace("one/", "two/"), head)
    assert other._background._due == 0, "it brought none"


def test_gc_leaves_one_pack_and_tells(open_engine: OpenEngine, folder: Path) -> None:
    engine = open_engine()
    for n in range(3):
        save(engine, {"a": b"%d" % n})
    report = engine.gc()
    assert (report.packs_before, report.packs_after, len(packs_of(folder))) == (3, 1, 1)
    assert content(engine, "a") == b"2"
    assert recorded(folder) == []


REFUSED: dict[str, tuple[str, Callable[[GitEngine], object], str]] = {
    "head": ("read", lambda engine: engine.head(), REF),
    "ref": ("read", lambda engine: engine.ref(OTHER), OTHER),
    "refs": ("names", lambda engine: engine.refs("refs/gitstate/"), "refs/gitstate/"),
    "delete_ref": ("read", lambda engine: engine.delete_ref(OTHER, expected="1" * 40), OTHER),
    "checked_out": ("checked_out", lambda engine: engine.checked_out(REF), ".git"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_disk_refuses_to_read_is_named(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    function, ask, place = REFUSED[name]
    with monkeypatch.context() as patch:
        patch.setattr(refs, function, Mock(side_effect=OSError(5, "broken")))
        with pytest.raises(StorageError, match=f"{place}: Input/output error"):
            ask(engine)


def test_a_line_is_of_first_parents_with_what_each_changed(open_engine: OpenEngine, folder: Path) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"1", "d/b": b"1"}), save(engine, {"d/b": b"2"}), save(engine, {"a": None})]
    assert [step.id for step in engine.line(made[2], None)] == made[::-1]
    steps = list(engine.line(made[2], made[0]))
    blob, tree = (git(folder, "rev-parse", f"{made[1]}:{path}").strip() for path in ("d/b", "d"))
    assert [(step.id, step.files, step.folders) for step in steps] == [
        (made[2], {"a": None}, {}),
        (made[1], {"d/b": blob}, {"d": tree}),
    ]
    for step in steps:
        assert step.body == engine.read(step.id, "commit")
        assert step.commit == parse_commit(step.body)


def test_a_commit_on_a_line_is_checked_against_its_id(open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine()
    first, second = save(engine, {"a": b"1"}), save(engine, {"a": b"2"})
    body = engine.read(first, "commit")
    monkeypatch.setattr(cgit, "line", lambda *_: iter([(second, body, Changed({}, {}))]))
    with pytest.raises(CorruptionError, match=second):
        next(engine.line(second, None))


def test_commits_are_read_in_bulk(open_engine: OpenEngine) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"%d" % n}) for n in range(3)]
    assert dict(engine.commits(made[1])).keys() <= set(made[:2])


@pytest.mark.parametrize("error", [OSError(12, "no memory"), StorageError("git failed")], ids=["system", "git"])
def test_what_c_git_did_not_tell_of_what_arrived_is_read_here(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = open_engine()
    made = [save(engine, {"a": b"%d" % n}) for n in range(3)]
    whole = list(engine.arrivals([made[2]], []))

    def begin(*_: object) -> Iterator[tuple[str, object]]:
        yield whole[0].commit, whole[0].files
        raise error

    monkeypatch.setattr(cgit, "arrivals", begin)
    found: list[Arrival] = list(engine.arrivals([made[2]], []))
    assert [each.commit for each in found] == [each.commit for each in whole] == made[::-1]


def test_what_c_git_told_of_what_arrived_is_not_read_once_more(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    made = save(engine, {"a": b"1"})
    monkeypatch.setattr(brought, "arrivals", Mock(side_effect=AssertionError("twice")))
    assert [each.commit for each in engine.arrivals([made], [])] == [made]


def test_what_others_published_is_known_to_the_next_publish(open_engine: OpenEngine) -> None:
    engine, other = open_engine(), open_engine()
    save(engine, {"a": b"1"})
    made = save(other, {"a": b"2"})
    with engine.lock():
        engine._reader.at_hand.read(made, "commit")
    save(engine, {"b": b"3"})


@pytest.mark.parametrize("durable", [True, False])
def test_without_a_journal_a_publish_waits_until_pack_and_branch_are_on_the_disk(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    engine = open_engine(durable=durable)
    save(engine, {"a": b"1"})
    before, synced = set(packs_of(folder)), synced_while(monkeypatch)
    monkeypatch.setattr(Journal, "append", Mock(return_value=False))
    save(engine, {"a": b"2"})
    (pack,) = set(packs_of(folder)) - before
    branch = folder / ".git" / REF
    needed = (pack, pack.with_suffix(".idx"), pack.parent, branch, branch.parent)
    assert {path.stat().st_ino for path in needed} <= {*synced}


def test_a_publish_without_objects_makes_no_pack(open_engine: OpenEngine, folder: Path) -> None:
    engine = open_engine()
    head = save(engine, {"a": b"1"})
    with engine.lock():
        engine.publish([], expected=head, new=head, note="nothing new")
    assert len(packs_of(folder)) == 1


def test_a_journal_that_the_disk_refuses_is_made_by_the_next_publish(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "ensure", Mock(side_effect=OSError(5, "broken")))
        save(engine, {"a": b"1"})
    assert recorded(folder) == []
    made = save(engine, {"a": b"2"})
    assert recorded(folder) == [made]


def test_a_branch_is_made_good_by_whoever_reads_it_with_the_lock_and_without(
    open_engine: OpenEngine, folder: Path
) -> None:
    engine, other = open_engine(lock_timeout=0.05), open_engine(lock_timeout=0.05)
    save(other, {"a": b"0"})
    made = save(engine, {"a": b"1"})
    with engine.lock():
        (folder / ".git" / REF).write_bytes(b"")
        with pytest.raises(BusyError, match=r"holds it for more than 0\.05 s"):
            other.head()  # not beside who writes
        assert engine.head() == made
    (folder / ".git" / REF).write_bytes(b"")
    assert other.head() == made


@pytest.mark.parametrize("step", ["create", "move", "gc", "close"])
def test_a_checkpoint_of_another_process_is_waited_for(open_engine: OpenEngine, folder: Path, step: str) -> None:
    """No name of a ref gets to the disk before what it names."""
    engine = open_engine(durable=False)
    save(engine, {"a": b"1"})
    head = save(engine, {"a": b"2"})
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: engine.create_ref(OTHER, head),
        "move": lambda: engine.move_ref(OTHER, expected=None, new=head, note="made"),
        "gc": engine.gc,
        "close": engine.close,
    }
    with ExitStack() as held:
        assert held.enter_context(alone(folder / ".git/gitstate/checkpoint", 0)) >= 0
        timer = threading.Timer(0.2, held.pop_all().close)
        timer.start()
        steps[step]()
    timer.join()
    assert recorded(folder) == []


@pytest.mark.parametrize("step", ["create", "move"])
def test_what_a_ref_names_is_on_the_disk_before_it_also_while_another_process_is_at_its_checkpoint(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr("gitstate.engine.git._PATIENCE", 0.05)
    synced = synced_while(monkeypatch, lambda: not (folder / ".git" / OTHER).exists())
    engine = open_engine(durable=False)
    save(engine, {"a": b"1"})
    with alone(folder / ".git/gitstate/checkpoint", 0) as held:
        assert held >= 0
        head = save(engine, {"a": b"2"})
        if step == "create":
            engine.create_ref(OTHER, head)
        else:
            engine.move_ref(OTHER, expected=None, new=head, note="made")
    there = [*(folder / ".git/objects/pack").iterdir(), folder / ".git/objects/pack"]
    assert len(there) >= 3 and {path.stat().st_ino for path in there if path.suffix != ".keep"} <= {*synced}
    assert len(recorded(folder)) > 0, "the checkpoint is the other process's"


@pytest.mark.parametrize("durable", [True, False])
def test_a_publish_waits_for_the_disk_if_it_was_told_to(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    engine = open_engine(durable=durable)
    save(engine, {"a": b"1"})
    save(engine, {"a": b"2"})
    waited = Mock()
    monkeypatch.setattr(files, "sync_content", waited)
    save(engine, {"a": b"3"})
    assert waited.called == durable


def test_an_engine_is_known_by_its_repository_and_its_branch(open_engine: OpenEngine, tmp_path: Path) -> None:
    one, another = open_engine(tmp_path / "one"), open_engine(tmp_path / "another")
    (tmp_path / "link").symlink_to("one")
    same = open_engine(tmp_path / "link")
    assert one.identity == same.identity == f"{os.path.realpath(tmp_path)}/one/.git:main"
    assert one.identity != another.identity


def test_the_first_spare_files_do_not_wait_for_a_checkpoint(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, due = open_engine(), list[float]()
    monkeypatch.setattr(engine._background, "due_in", due.append)
    for n in range(9):
        save(engine, {"a": b"%d" % n})
    assert [seconds > 0 for seconds in due] == [True] * 8 + [False]


@pytest.mark.parametrize("step", ["save", "first", "create"])
def test_what_a_persons_git_did_not_wait_for_is_on_the_disk_before_what_is_built_on_it(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Git does not wait for the objects of a commit: without them a save that was answered for would be lost too."""
    engine = open_engine()
    save(engine, {"a": b"0"})
    save(engine, {"a": b"1"})
    git(folder, "reset", "-q", "--hard")
    git(folder, "branch", "side")
    for branch in ("side", "main"):
        git(folder, "checkout", "-q", branch)
        (folder / f"theirs/{branch}").mkdir(parents=True)
        (folder / f"theirs/{branch}/copy").write_text("1")  # this object is in our pack
        (folder / f"theirs/{branch}/new").write_text(f"by hand on {branch}")
        git(folder, "add", "theirs")
        git(folder, "commit", "-q", "-m", "by hand")
    git(folder, "merge", "-q", "side")
    theirs = git(folder, "rev-parse", "main").strip()
    if step == "first":
        engine.close()
        engine = open_engine()
    there = list((folder / ".git/objects").glob("??/*"))
    assert len(there) == 13, "three commits, their trees, both folders in it, and two files"
    synced = synced_while(monkeypatch, lambda: not (folder / ".git" / OTHER).exists() and engine.head() == theirs)
    if step == "create":
        engine.create_ref(OTHER, theirs)
    else:
        save(engine, {"a": b"2"})
    assert {path.stat().st_ino for path in [*there, *(path.parent for path in there)]} <= {*synced}
    looked = Mock()
    monkeypatch.setattr(loose, "sync", looked)
    save(engine, {"a": b"3"})
    engine.close()
    save(open_engine(), {"a": b"4"})
    assert looked.call_count == (step == "create"), "once"


@pytest.mark.parametrize("why", ["packed", "old"])
def test_what_git_packed_or_made_long_ago_is_on_the_disk(
    open_engine: OpenEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    git(folder, "reset", "-q", "--hard")
    git(folder, "commit", "-q", "--allow-empty", "-m", "by hand")
    if why == "packed":
        git(folder, "gc", "-q")
    else:
        os.utime(loose_file(folder, "main"), (1, 1))
    waited = Mock()
    monkeypatch.setattr(files, "sync_file", waited)
    save(engine, {"a": b"2"})
    assert not waited.called


def test_a_save_on_commits_by_hand_alone(open_engine: OpenEngine, folder: Path) -> None:
    git(folder.parent, "init", "-q", "-b", "main", "store")
    git(folder, "commit", "-q", "--allow-empty", "-m", "by hand")
    engine = open_engine()
    save(engine, {"a": b"1"})
    assert git(folder, "rev-list", "--count", "main") == "2\n"


def test_a_save_on_a_commit_whose_parent_is_lost_is_left_to_who_reads_it(open_engine: OpenEngine, folder: Path) -> None:
    engine = open_engine(check=False)
    save(engine, {"a": b"1"})
    git(folder, "reset", "-q", "--hard")
    for _ in range(2):
        git(folder, "commit", "-q", "--allow-empty", "-m", "by hand")
    loose_file(folder, "main~1").unlink()
    made = save(engine, {"a": b"2"})
    assert engine.head() == made
