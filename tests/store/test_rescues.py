"""States that are kept aside: once, whole, found by their names; and no crash whatever refs came from elsewhere."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine.objects import ObjectId
from gitstate.errors import ConflictError, CorruptionError, InvalidInputError, NotFoundError, StaleError, StorageError
from gitstate.format import message, names
from gitstate.format.message import Event, Message
from gitstate.store import rescues
from gitstate.store.documents import Draft, Snapshot
from gitstate.store.parking import Losing, keep_losers
from gitstate.store.rescues import BY_HAND, FOLDER, INVALID, PARKED, REFUSED, Rescue, trailers
from gitstate.store.store import Store
from tests.git import fsck, git
from tests.store.test_store import write
from tests.stores import JOBS, NOTES, leave_damaged


@pytest.fixture(params=["memory", "git"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with Store.in_memory() if request.param == "memory" else Store.open(tmp_path / "state") as made:
        yield made


def put(store: Store, document: str, **value: Any) -> ObjectId:
    revision = store.submit(NOTES, document, write({"id": document, **value})).result()
    assert revision is not None
    return revision.id


def said(document: str, reason: str = REFUSED, *conflicts: str) -> Message:
    facts = ((NOTES.trailer, document), (message.EVENT, Event.RESCUED.value), *trailers(reason, conflicts))
    return Message(f"{document}: kept aside", trailers=facts)


def keep(store: Store, document: str, value: dict[str, Any], base: ObjectId | None, **more: Any) -> Rescue:
    draft = Draft(said(document), value={"id": document, **value}, attachments=more.pop("attachments", {}))
    return store.rescues(NOTES).keep(document, draft, base, more.pop("base_value", None), **more)


def test_a_state_is_kept_whole_on_no_branch(store: Store) -> None:
    base = put(store, "a", n=1)
    head = put(store, "b", n=5)
    files = {"executions/1/out.txt": b"out"}
    kept = keep(store, "a", {"n": 2, "sheets": {"1": {"x": 1}}}, base, attachments=files)
    assert store.head() == head
    assert kept.ref == f"{FOLDER}a/{kept.commit}"
    assert (kept.document, kept.base, kept.reason, kept.name) == ("a", base, REFUSED, f"a/{kept.commit[:10]}")
    snapshot = store.rescues(NOTES).snapshot(kept)
    assert snapshot.value() == {"id": "a", "n": 2, "sheets": {"1": {"x": 1}}}
    assert snapshot.read("executions/1/out.txt") == b"out"
    assert store.rescues(NOTES).all() == [kept] == store.rescues(NOTES).all("a")
    assert store.rescues(NOTES).all("b") == [] == store.rescues(JOBS).all()
    assert rescues.refs(store._engine) == {kept.ref: kept.commit}
    loaded = store.load(NOTES, "a", kept.commit[:12])
    assert loaded is not None and loaded.value()["n"] == 2, "a commit like any other"
    assert [each.id for each in store.history(NOTES, "a")] == [base], "and no revision of the document"
    report = store.verify(NOTES, JOBS)
    assert (report.ok, report.rescues, report.problems) == (True, 1, ())


def test_the_same_state_at_the_same_base_is_kept_once(store: Store) -> None:
    first = put(store, "a", n=1, time=1)
    second = put(store, "a", n=2, time=2)
    kept = keep(store, "a", {"n": 3, "time": 3}, first, volatile=["time"])
    assert keep(store, "a", {"n": 3, "time": 4}, first, volatile=["time"]) == kept
    assert len(store.rescues(NOTES).all()) == 1
    others = [
        keep(store, "a", {"n": 3, "time": 4}, first),
        keep(store, "a", {"n": 4, "time": 3}, first, volatile=["time"]),
        keep(store, "a", {"n": 3, "time": 3}, second, volatile=["time"]),
        keep(store, "a", {"n": 3, "time": 3}, first, volatile=["time"], attachments={"executions/1/x": b"1"}),
        keep(store, "a", {"n": 3, "time": 3, "sheets": {"1": {}}}, first, volatile=["time"]),
        keep(store, "b", {"n": 3, "time": 3}, first, volatile=["time"]),
    ]
    assert len({each.ref for each in [kept, *others]}) == 7
    assert store.rescues(NOTES).counts() == {"a": 6, "b": 1}


@pytest.mark.parametrize("known", [True, False])
def test_a_base_that_no_commit_holds_gets_one(store: Store, known: bool) -> None:
    revision = put(store, "a", n=1)
    base = revision if known else None
    kept = keep(store, "a", {"n": 3}, base, base_value={"id": "a", "n": 2})
    assert kept.base is not None
    then = store.snapshot(NOTES, "a", kept.base)
    assert then is not None and then.value() == {"id": "a", "n": 2}
    assert keep(store, "a", {"n": 3}, base, base_value={"id": "a", "n": 2}) == kept
    assert keep(store, "a", {"n": 3}, base, base_value={"id": "a", "n": 1}) != kept
    assert store.verify(NOTES).problems == ()


def test_a_state_whose_base_was_cleared_away_says_so(store: Store) -> None:
    put(store, "a", n=1)
    with pytest.raises(CorruptionError):
        keep(store, "a", {"n": 3}, "1" * 40)
    assert store.rescues(NOTES).all() == []


def test_a_rescue_is_found_by_whatever_people_call_it(store: Store) -> None:
    base = put(store, "a/b", n=1)
    put(store, "c", n=1)
    kept, other = keep(store, "a/b", {"n": 2}, base), keep(store, "c", {"n": 2}, base)
    found = store.rescues(NOTES)
    for name in (kept.ref, kept.name, "a/b", f"a/b/{kept.commit}", kept.commit[:8].upper(), f"a%2Fb/{kept.commit[:5]}"):
        assert found.find(name) == kept, name
    more = keep(store, "c", {"n": 3}, base)
    for wrong in ("nothing", "c/", f"c/{kept.commit}", kept.commit[:3], f"x/{kept.commit}", f"{FOLDER}a"):
        with pytest.raises(NotFoundError, match="there is no rescue"):
            found.find(wrong)
    with pytest.raises(NotFoundError, match="several") as caught:
        found.find("c")
    assert other.name in str(caught.value) and more.name in str(caught.value)
    for bad in ("", None, 5):
        with pytest.raises(InvalidInputError):
            found.find(bad)  # type: ignore[arg-type]
    found.drop(kept)
    with pytest.raises(NotFoundError):
        found.find("a/b")
    with pytest.raises(StaleError):
        found.drop(kept)


IDS = ["..", ".hidden", "v1.2", "a/b", "é", "\udcff", "x" * 300, "é" * 200, "-", "a.lock", "@{", " ", "\n", "%", "a%_b"]


@pytest.mark.parametrize("document", IDS)
def test_any_id_will_do(tmp_path: Path, document: str) -> None:
    with Store.open(tmp_path / "state") as store:
        base = put(store, document, n=1)
        kept = keep(store, document, {"n": 2}, base)
        assert store.rescues(NOTES).all(document) == [kept] == store.rescues(NOTES).all()
        assert store.rescues(NOTES).find(kept.name).document == document
        assert kept.commit in git(tmp_path / "state", "for-each-ref", "--format=%(refname)", FOLDER)
        store.rescues(NOTES).drop(kept)
        assert git(tmp_path / "state", "for-each-ref", FOLDER) == ""
    fsck(tmp_path / "state")


@given(st.text(min_size=1, max_size=100))
def test_the_name_in_a_ref_leads_back_to_the_id(document: str) -> None:
    name = names.ref_encode(document)
    assert names.ref_decode(name) == (None if "%_" in name else document)


@given(st.text(alphabet="ab%2E_~.F/é", max_size=12))
def test_a_component_that_is_no_name_stands_for_nothing(name: str) -> None:
    found = names.ref_decode(name)
    assert found is None or names.ref_encode(found) == name


# Two machines


def twin(store: Path, to: Path, document: str = "a") -> Store:
    """Return another machine's copy of a store, on which a document took another way."""
    git(store.parent, "clone", "-q", str(store), str(to))
    git(to, "config", "user.name", "Another")
    other = Store.open(to)
    put(other, document, n="there", more=[1, 2])
    return other


def test_two_machines_that_park_the_same_state_make_the_same_commit(tmp_path: Path) -> None:
    with Store.open(tmp_path / "one") as one:
        put(one, "a", n=0)
        with twin(tmp_path / "one", tmp_path / "two") as two:
            here, there = put(one, "a", n="here"), two.head()
            put(one, "other", n=1)  # commits about something else make no difference
            git(tmp_path / "one", "fetch", "-q", str(tmp_path / "two"), "main")
            git(tmp_path / "two", "fetch", "-q", str(tmp_path / "one"), "main")
            put(two, "besides", n=1)
            made = []
            for store, lost, against in ((one, there, one.head()), (two, there, here), (two, two.head(), one.head())):
                loser = Losing(NOTES, "a", lost, PARKED, ("/n", "/b", "/n"), against)
                made += keep_losers(store._engine, store.reader, [loser])
            assert [each.is_new for each in made] == [True, True, False]
            assert len({each.rescue for each in made}) == 1
            kept = made[0].rescue
            assert (kept.base, kept.against, kept.conflicts, kept.reason) == (there, here, ("/b", "/n"), PARKED)
            assert kept.author == "Another"
            assert kept.revision.message.subject == "a: kept aside, it lost at /b, /n"
            for store in (one, two):
                assert store.rescues(NOTES).snapshot(kept).value() == {"id": "a", "n": "there", "more": [1, 2]}
                assert store.verify(NOTES).problems == ()
            assert git(tmp_path / "one", "show", "--stat", "--format=", kept.ref) == "", "it has nothing new"


def test_what_is_invalid_is_kept_as_it_stands(tmp_path: Path) -> None:
    with Store.open(tmp_path / "one") as one:
        put(one, "a", n=0, sheets={"1": {}})
        one.flush()
        for command in ("echo '{' > notes/a/sheets/0001.json", "git add -A", "git commit -qm broken"):
            subprocess.run(["sh", "-c", command], cwd=tmp_path / "one", check=True)
        broken = one.head()
        git(tmp_path / "one", "reset", "-q", "--hard", "HEAD^")
        (made,) = keep_losers(one._engine, one.reader, [Losing(NOTES, "a", broken, INVALID)])
        assert made.rescue.revision.message.subject == "a: kept aside, it is no state"
        assert one.rescues(NOTES).all() == [made.rescue]
        report = one.verify(NOTES)
        assert (report.rescues, report.problems) == (1, ())
        with pytest.raises(InvalidInputError, match="no 'b'"):
            keep_losers(one._engine, one.reader, [Losing(NOTES, "b", broken, INVALID)])


def test_odd_dates_of_others_make_a_commit_that_git_takes(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with Store.open(folder) as one:
        base = put(one, "a", n=0)
        put(one, "a", n=1)
        tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
        text = f"tree {tree}\nparent {base}\nauthor A <a> -5 +9999\ncommitter A <a> 7 -2500\n\nodd\n"
        raw = ["git", "-C", str(folder), "hash-object", "-t", "commit", "-w", "--stdin", "--literally"]
        odd = subprocess.run(raw, input=text, text=True, capture_output=True, check=True).stdout.strip()
        (made,) = keep_losers(one._engine, one.reader, [Losing(NOTES, "a", odd, PARKED)])
        assert made.rescue.base == odd
        lines = git(folder, "cat-file", "commit", made.rescue.commit).splitlines()
        assert lines[2:4] == ["author A <a> 0 +0000", "committer A <a> 7 +0000"]


# What came from elsewhere


def hostile(folder: Path) -> dict[str, str]:
    """Make refs that are no rescues, or none of ours; return a word of what is said of each."""
    head, blob = git(folder, "rev-parse", "HEAD").strip(), git(folder, "rev-parse", "HEAD:gitstate.json").strip()
    empty = git(folder, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    nothing = git(folder, "commit-tree", "-m", "nothing", empty).strip()
    forged = git(
        folder, "commit-tree", "-p", head, "-m", "x\n\nGitstate-Note: a\nGitstate-Event: rescued", f"{head}^{{tree}}"
    ).strip()
    (folder / "newer.json").write_text('{"format": 99}')
    entry = f"100644 blob {git(folder, 'hash-object', '-w', 'newer.json').strip()}\tgitstate.json\n"
    (folder / "newer.json").unlink()
    made_tree = subprocess.run(["git", "mktree"], cwd=folder, input=entry, text=True, capture_output=True, check=True)
    newer = git(folder, "commit-tree", "-m", "newer", made_tree.stdout.strip()).strip()
    git(folder, "tag", "-a", "-m", "told", "told", head)
    tag = git(folder, "rev-parse", "told").strip()
    made = {
        f"a/{blob}": (blob, "stand"),
        f"a/{nothing}": (nothing, "no document"),
        f"a/{newer}": (newer, "format 99"),
        f"zzz/{head}": (head, "no document"),
        f"b/{forged}": (forged, "no document"),
        f"a/{tag}": (tag, "stand at"),
        f"a/{'1' * 40}": (head, "stand at"),
        f"a/{head[:-1]}": (head, "its name"),
        f"a/b/{head}": (head, "its name"),
        head: (head, "its name"),
        f"%zz/{head}": (head, "no document"),
        f"%/{head}": (head, "no document"),
        f"{'%2E' * 60}%_{'0' * 40}/{head}": (head, "no document"),
        f"é/{head}": (head, "no document"),
    }
    for name, (target, _) in made.items():
        git(folder, "update-ref", FOLDER + name, target)
    return {FOLDER + name: word for name, (_, word) in made.items()}


def test_what_is_no_rescue_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "state"
    with Store.open(folder) as store:
        base = put(store, "a", n=1)
        kept = keep(store, "a", {"n": 2}, base)
        words = hostile(folder)
        assert store.rescues(NOTES).all() == [kept]
        assert all(ref in caplog.text for ref in words)
        found, odd = store.rescues(NOTES).look()
        assert found == [kept]
        assert {each.place for each in odd} == words.keys()
        assert all(words[each.place] in each.what for each in odd), odd
        assert kept.ref in rescues.refs(store._engine)
        report = store.verify(NOTES)
        assert report.ok and report.rescues == 1
        assert {each.place for each in report.problems if each.kind == "rescue"} == words.keys()
        assert {each.severity for each in report.problems} == {"warning"}
        git(folder, "pack-refs", "--all")
        assert store.verify(NOTES) == report


def test_a_ref_that_somebody_made_with_git_is_a_rescue(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Store.open(folder) as store:
        base, head = put(store, "a.b", n=1), put(store, "a.b", n=2)
        git(folder, "update-ref", f"{FOLDER}a%2Eb/{head}", head)
        (kept,) = store.rescues(NOTES).all()
        assert (kept.document, kept.reason, kept.base) == ("a.b", BY_HAND, base)
        assert store.verify(NOTES).problems == ()


def test_a_rescue_of_another_collection_is_another_s_business(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(tmp_path / "state") as store:
        kept = keep(store, "a", {"n": 2}, put(store, "a", n=1))
        assert store.rescues(JOBS).all() == []
        assert not caplog.text
        assert [each.kind for each in store.verify(JOBS).problems] == ["rescue"]
        assert store.verify(JOBS, NOTES).problems == ()
        assert rescues.refs(store._engine) == {kept.ref: kept.commit}


@pytest.mark.parametrize("what", ["commit", "ref"])
def test_a_rescue_that_is_damaged_is_named(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "state"
    leave_damaged(folder)
    with Store.open(folder) as store:
        base = put(store, "a", n=1)
        lost = "1" * 40
        ref = f"{FOLDER}a/{lost}"
        (folder / ".git" / ref).parent.mkdir(parents=True)
        (folder / ".git" / ref).write_text(f"{lost}\n" if what == "commit" else "nonsense\n")
        assert store.rescues(NOTES).all() == []
        report = store.verify(NOTES)
        assert [(each.kind, each.place, each.severity) for each in report.problems] == [("rescue", ref, "error")]
        assert rescues.refs(store._engine) == {}
        kept = keep(store, "a", {"n": 2}, base)
        assert store.rescues(NOTES).all() == [kept]


def test_a_rescue_that_a_person_s_git_packs_or_cleans_up_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Store.open(folder) as store:
        kept = keep(store, "a", {"n": 2}, put(store, "a", n=1))
        git(folder, "reflog", "expire", "--expire=now", "--all")
        git(folder, "gc", "-q", "--prune=now")
        assert store.rescues(NOTES).all() == [kept]
        assert store.rescues(NOTES).snapshot(kept).value()["n"] == 2
        store.gc()
        store.rescues(NOTES).drop(kept)
        assert git(folder, "for-each-ref", FOLDER) == ""


# What a store does about a write that conflicts


def refusing(_: Snapshot | None) -> Draft:
    raise ConflictError("no")


def test_a_write_that_conflicts_is_told_of_before_its_caller(store: Store) -> None:
    told: list[ConflictError] = []
    waiting = store.submit(NOTES, "a", refusing, told.append)
    with pytest.raises(ConflictError) as caught:
        waiting.result()
    assert told == [caught.value]
    with pytest.raises(ConflictError):
        store.submit(NOTES, "a", refusing).result()
    assert len(told) == 1

    def break_down(_: ConflictError) -> None:
        raise ZeroDivisionError

    with pytest.raises(ConflictError):
        store.submit(NOTES, "a", refusing, break_down).result()
    assert put(store, "a", n=1)

    def fail(_: Snapshot | None) -> Draft:
        raise StorageError("full")

    with pytest.raises(StorageError):
        store.submit(NOTES, "a", fail, told.append).result()
    assert len(told) == 1


def test_a_ref_that_is_no_rescue_is_told_with_what_is_wrong(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state") as store:
        kept = keep(store, "a", {"n": 2}, put(store, "a", n=1))
        for name, reason in ((f"b/{kept.commit}", "holds no document"), ("a/x", "name is not that of a rescue")):
            git(tmp_path / "state", "update-ref", f"{FOLDER}{name}", kept.commit)
            with pytest.raises(CorruptionError, match=f"{name} is no rescue: .*{reason}"):
                store.rescues(NOTES).at(f"{FOLDER}{name}")
            git(tmp_path / "state", "update-ref", "-d", f"{FOLDER}{name}")
        with pytest.raises(CorruptionError, match="about no document of jobs/"):
            store.rescues(JOBS).at(kept.ref)
        assert store.rescues(NOTES).at(kept.ref) == kept
