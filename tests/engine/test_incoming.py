"""What others send becomes part of a store whole and checked, or not at all."""

import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine import arrivals, cgit, folding, incoming, packs, scratch, upkeep
from gitstate.engine.incoming import Incoming, Limits
from gitstate.engine.objects import ObjectId
from gitstate.engine.outgoing import beyond_pack
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import Repository, open_repository
from gitstate.errors import CorruptionError, GitStateError, TooLargeError, UntrustedError
from tests.engine.conftest import OpenEngine, git
from tests.engine.histories import (
    Delta,
    History,
    Item,
    copy,
    delta,
    entry,
    object_id,
    pack_of,
    random_history,
    size,
    store,
    tag,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", bare=True)


def no_git(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cgit.shutil, "which", lambda _: None)


def choose(way: str, patch: pytest.MonkeyPatch) -> None:
    """Take things in as few objects, as many, or as many where there is no git."""
    if way != "few":
        patch.setattr(incoming, "_FEW", 0)
        patch.setattr(arrivals, "_FEW", 0)
    if way == "no git":
        no_git(patch)


WAYS = ["few", "many", "no git"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    choose(request.param, monkeypatch)
    return str(request.param)


def owned(path: str) -> bool:
    return path.startswith("jobs/")


def take_in(
    repository: Repository,
    data: bytes,
    tips: Sequence[ObjectId],
    known: Sequence[ObjectId] = (),
    limits: Limits = incoming.DEFAULT,
    piece: int = 1000,
) -> None:
    """Take a pack in as a fetch does, up to where refs would be made."""
    with Incoming(repository, limits) as arriving:
        for start in range(0, len(data), piece):
            arriving.write(data[start : start + piece])
        arriving.index()
        arriving.check(tips, known, owned)
        arriving.admit()


def everything(repository: Repository) -> dict[str, bytes]:
    """Return all files of a repository, to be compared."""
    files = [path for path in repository.common_dir.rglob("*") if path.is_file()]
    return {os.fspath(path.relative_to(repository.common_dir)): path.read_bytes() for path in files}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 25), way=st.sampled_from(WAYS), data=st.data())
def test_what_is_sent_arrives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, way: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("incoming")
    sender, receiver = (open_repository(folder / name, bare=True) for name in ("sender", "receiver"))
    history, commits = random_history(seed, count)
    store(sender, history)
    known: list[ObjectId] = []
    with pytest.MonkeyPatch.context() as patch, closing(ObjectReader(sender)) as here:
        choose(way, patch)
        for _ in range(2):
            tips = data.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=3))
            with beyond_pack(sender, here, tips, known) as source:
                take_in(receiver, b"".join(source.chunks()), tips, known, piece=data.draw(st.integers(1, 5000)))
            known += tips
    for number, tip in enumerate(known):
        git(receiver.git_dir, "update-ref", f"refs/heads/b{number}", tip)
    report = git(receiver.git_dir, "fsck", "--strict", "--full")
    assert not [line for line in report.splitlines() if not line.startswith(("dangling", "notice"))], report
    assert not list(receiver.private.iterdir())
    assert not list((receiver.objects / "pack").glob("*.keep"))


@pytest.mark.parametrize("thin", [True, False])
def test_packs_of_git_arrive(repository: Repository, tmp_path: Path, way: str, thin: bool) -> None:
    history, commits = random_history(7, 40)
    sender = open_repository(tmp_path / "sender", bare=True)
    store(sender, history)
    git(sender.git_dir, "update-ref", "refs/heads/main", commits[-1])
    base = commits[-10] if thin else None
    for tips, known in (([commits[-10]], []), ([commits[-1]], [base])):
        wanted = "".join([*(f"{tip}\n" for tip in tips), *(f"^{each}\n" for each in known if each)])
        data = subprocess.run(
            ["git", "-C", str(sender.git_dir), "pack-objects", "--revs", "--stdout", "--thin", "-q", "--window=50"],
            input=wanted.encode(),
            check=True,
            capture_output=True,
        ).stdout
        take_in(repository, data, tips, [each for each in known if each])
    git(repository.git_dir, "update-ref", "refs/heads/main", commits[-1])
    git(repository.git_dir, "fsck", "--strict", "--full")
    kinds = {packs.kind_of(str(path)[:-5]) for path in (repository.objects / "pack").glob("*.pack")}
    assert kinds == ({"plain"} if way == "few" else {"deltas"})


def test_readers_see_it_when_it_is_admitted_and_not_before(repository: Repository, way: str) -> None:
    history, commits = random_history(1, 10)
    tip = commits[-1]
    reader = ObjectReader(repository)
    with Incoming(repository, below=reader) as arriving:
        arriving.write(history.pack())
        arriving.index()
        arriving.check([tip], [], owned)
        assert arriving.source.read(tip, "commit") == history.objects[tip][1]
        with pytest.raises(CorruptionError):
            reader.read(tip, "commit")
        arriving.admit()
        assert reader.read(tip, "commit") == arriving.source.read(tip, "commit")
        for name, (kind, body) in history.objects.items():
            assert arriving.source.read(name, kind) == body  # type: ignore[arg-type]
    assert reader.read(tip, "commit") == history.objects[tip][1]
    reader.close()


def test_nothing_arrived(repository: Repository) -> None:
    store(repository, (made := random_history(1, 3))[0])
    for data in (b"", pack_of([])):
        take_in(repository, data, made[1], [])
    assert len(list((repository.objects / "pack").glob("*.pack"))) == 1


def test_tags_arrive_with_their_commits(repository: Repository, way: str) -> None:
    history, commits = random_history(2, 3)
    outer = history.add("tag", tag(history.add("tag", tag(commits[-1])), "tag"))
    take_in(repository, history.pack(), [outer])
    git(repository.git_dir, "update-ref", "refs/tags/v1", outer)
    git(repository.git_dir, "fsck", "--strict", "--full")
    assert git(repository.git_dir, "rev-parse", f"{outer}^{{commit}}").strip() == commits[-1]
    blob = history.add("tag", tag(history.blob(b"1"), "blob"))
    with pytest.raises(UntrustedError, match="leads to no commit"):
        take_in(repository, history.pack(), [blob])


def test_gc_and_folding_leave_alone_what_no_ref_reaches_yet(repository: Repository, way: str) -> None:
    history, commits = random_history(3, 5)
    with Incoming(repository) as arriving:
        arriving.write(history.pack())
        arriving.index()
        arriving.admit()
        kept = list((repository.objects / "pack").glob("*.keep"))
        assert len(kept) == 1
        assert folding.kept(str(kept[0])[:-5])
        packs.remove_leftovers(repository.objects / "pack")  # as somebody does who takes the store's lock
        scratch.remove_leftovers(repository)
        git(repository.git_dir, "gc", "--prune=now", "-q")
        git(repository.git_dir, "repack", "-adq")
        git(repository.git_dir, "prune", "--expire=now")
        git(repository.git_dir, "cat-file", "-e", commits[-1] + "^{tree}")
        arriving.release()
        assert not list((repository.objects / "pack").glob("*.keep"))
    git(repository.git_dir, "cat-file", "-e", commits[-1] + "^{tree}")


def test_somebody_elses_keep_stays(repository: Repository, way: str) -> None:
    history, commits = random_history(3, 5)
    take_in(repository, history.pack(), commits[-1:])
    base = next((repository.objects / "pack").glob("*.pack")).with_suffix("")
    base.with_suffix(".keep").write_text("a person wants that\n")
    take_in(repository, history.pack(), commits[-1:])
    assert base.with_suffix(".keep").read_text() == "a person wants that\n"
    git(repository.git_dir, "fsck", "--full", commits[-1])


def test_many_small_fetches_are_few_packs(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    repository = open_repository(tmp_path / "store")
    history, commits = random_history(4, 80)
    for number, commit in enumerate(commits):
        sent = History({commit: history.objects[commit]})
        for name, item in list(history.objects.items())[number * 4 : number * 4 + 4]:
            sent.objects[name] = item
        with Incoming(repository) as arriving:
            arriving.write(sent.pack())
            arriving.index()
            arriving.admit()
        upkeep.tidy(repository, engine.lock)
    assert len(list((repository.objects / "pack").glob("*.pack"))) < folding.FOLD_AT + 5


HOSTILE: dict[str, tuple[Callable[[History], ObjectId], str, str]] = {}


def hostile(name: str, what: str, place: str = "") -> Callable[[Callable[[History], ObjectId]], None]:
    """Note a history that must be refused: what is said of it, and of which path."""

    def note(make: Callable[[History], ObjectId]) -> None:
        HOSTILE[name] = (make, what, place)

    return note


def odd_entry(mode: str, name: str | bytes, below: str = "jobs") -> Callable[[History], ObjectId]:
    def make(history: History) -> ObjectId:
        target = history.files({"x": b"1"}) if mode == "40000" else history.blob(b"target")
        inner = history.tree(entry(mode, name, target), entry("100644", "good", history.blob(b"g")))
        top = [entry("40000", below, inner)] if below else [entry(mode, name, target)]
        return history.commit(history.tree(*top))

    return make


def shown(text: str) -> str:
    """Return a text as a terminal may show it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


for number, odd in enumerate(
    [
        "..", ".", "", ".git", ".GIT", ".Git", "git~1", "GIT~1", ".git ", ".git.", ".git. .", ".g\u200cit",
        "\u200d.git", ".git\u200e", ".git\\hooks", "a\\.git", ".git::$INDEX_ALLOCATION", "a/b", "a\nb", "a\tb",
        "\x7f", "\x01", "n" * 256, "é" * 128,
    ]
):  # fmt: skip
    for mode in ("100644", "40000"):
        what = "more than 255" if len(odd.encode()) > 255 else "a name that no file can have"
        HOSTILE[f"name {number} {mode}"] = (odd_entry(mode, odd), what, f"jobs/{shown(odd)}")
for mode, what in {
    "120000": "a symbolic link", "160000": "a submodule", "100664": "the mode 100664", "100600": "the mode 100600",
    "040000": "the mode 040000", "0100644": "the mode 0100644", "0": "the mode 0", "777": "the mode 777",
}.items():  # fmt: skip
    HOSTILE[f"mode {mode}"] = (odd_entry(mode, "odd"), what, "jobs/odd")
    HOSTILE[f"mode {mode} of what is not ours"] = (odd_entry(mode, "odd", ""), what, "odd")


@hostile("unsorted", "not in git's order", "jobs")
def _(history: History) -> ObjectId:
    blob = history.blob(b"1")
    raw = history.add("tree", entry("100644", "b", blob) + entry("100644", "a", blob))
    return history.commit(history.tree(entry("40000", "jobs", raw)))


@hostile("folder sorted as a file", "not in git's order", "the top")
def _(history: History) -> ObjectId:
    raw = entry("40000", "a", history.files({"x": b"1"})) + entry("100644", "a.b", history.blob(b"1"))
    return history.commit(history.add("tree", raw))


@hostile("twice", "a name is there twice", "the top")
def _(history: History) -> ObjectId:
    blob = history.blob(b"1")
    return history.commit(history.tree(entry("100644", "a", blob), entry("100644", "a", blob)))


@hostile("a file and a folder of one name", "a name is there twice", "the top")
def _(history: History) -> ObjectId:
    blob = history.blob(b"1")
    inner = history.files({"x": b"1"})
    return history.commit(
        history.tree(entry("100644", "a", blob), entry("100644", "a.b", blob), entry("40000", "a", inner))
    )


@hostile("no tree", "no tree", "a")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("40000", "a", history.add("tree", b"100644 cut short\0\1\2"))))


@hostile("a file for a folder", "a blob stands where a folder should", "a")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("40000", "a", history.blob(b"1"))))


@hostile("a folder for a file", "a tree stands where a file should", "a/b")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("40000", "a", history.tree(entry("100644", "b", history.files({}))))))


@hostile("a commit for a file", "a commit stands where a file should", "b")
def _(history: History) -> ObjectId:
    first = history.commit(history.files({"a": b"1"}))
    return history.commit(history.tree(entry("100644", "b", first)), first)


@hostile("a missing file", "missing", "a/b")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("40000", "a", history.tree(entry("100644", "b", "12" * 20)))))


@hostile("a missing folder", "missing", "a/b")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("40000", "a", history.tree(entry("40000", "b", "12" * 20)))))


@hostile("no object", "missing", "b")
def _(history: History) -> ObjectId:
    return history.commit(history.tree(entry("100644", "b", "00" * 20)))


@hostile("a missing top", "missing", "the top")
def _(history: History) -> ObjectId:
    return history.commit("12" * 20)


@hostile("a missing parent", "missing", "the parent 121212121212")
def _(history: History) -> ObjectId:
    return history.commit(history.files({"a": b"1"}), "12" * 20)


@hostile("a file for a parent", "blob", "the parent")
def _(history: History) -> ObjectId:
    return history.commit(history.files({"a": b"1"}), history.blob(b"1"))


@hostile("a parent that is no id", "'zz' is no id", "the parent zz")
def _(history: History) -> ObjectId:
    tree = history.files({})
    who = "A <a@b> 1 +0000"
    return history.add("commit", f"tree {tree}\nparent zz\nauthor {who}\ncommitter {who}\n\nm\n".encode())


@hostile("a commit without an author", "headers", "revision")
def _(history: History) -> ObjectId:
    return history.add("commit", f"tree {history.files({})}\ncommitter A <a@b> 1 +0000\n\nm\n".encode())


@hostile("a commit with two trees", "headers", "revision")
def _(history: History) -> ObjectId:
    tree = history.files({"a": b"1"})
    who = "A <a@b> 1 +0000"
    return history.add("commit", f"tree {tree}\ntree {tree}\nauthor {who}\ncommitter {who}\n\nm\n".encode())


@hostile("a commit that hides something", "NUL", "revision")
def _(history: History) -> ObjectId:
    return history.commit(history.files({"a": b"1"}), message=b"seen\0\n\nGitstate-Job: hidden\n")


@hostile("a gigantic message", "more than 1048576", "revision")
def _(history: History) -> ObjectId:
    return history.commit(history.files({"a": b"1"}), message=b"m" * (1 << 20))


@hostile("deep folders", "deeper than 100", "a/a/a/")
def _(history: History) -> ObjectId:
    tree = history.files({"x": b"1"})
    for _ in range(2000):
        tree = history.tree(entry("40000", "a", tree))
    return history.commit(tree)


@hostile("a long path", "its path is too long")
def _(history: History) -> ObjectId:
    tree = history.files({"x": b"1"})
    for _ in range(20):
        tree = history.tree(entry("40000", "a" * 200, tree))
    return history.commit(tree)


@hostile("deep JSON", "more than 1000 levels deep", "jobs/x/job.json")
def _(history: History) -> ObjectId:
    return history.commit(history.files({"jobs/x/job.json": b"[" * 100_000 + b"]" * 100_000}))


@hostile("deep JSON where the file was ordinary before", "more than 1000 levels deep", "jobs/x/job.json")
def _(history: History) -> ObjectId:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    first = history.commit(history.files({"other/job.json": deep}), time=1)
    return history.commit(history.files({"jobs/x/job.json": deep, "other/job.json": deep}), first, time=2)


@hostile("a bomb of folders", "files are new that repeat others")
def _(history: History) -> ObjectId:
    tree = history.files({"x": b"1"})
    for _ in range(10):
        tree = history.tree(*(entry("40000", f"d{n}", tree) for n in range(10)))
    return history.commit(tree)


@hostile("a bomb of empty folders", "files are new that repeat others")
def _(history: History) -> ObjectId:
    tree = history.files({})
    for _ in range(50):
        tree = history.tree(*(entry("40000", f"d{n}", tree) for n in range(3)))
    return history.commit(tree)


@hostile("millions of files in few bytes", "files are new that repeat others")
def _(history: History) -> ObjectId:
    blob = history.blob(b"")
    tree = history.tree(*(entry("100644", f"{n:03}", blob) for n in range(1000)))
    for _ in range(2):
        tree = history.tree(*(entry("40000", f"{n:03}", tree) for n in range(100)))
    return history.commit(tree)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_history_is_refused_by_name(repository: Repository, name: str, way: str) -> None:
    make, what, place = HOSTILE[name]
    good, commits = random_history(1, 2)
    store(repository, good)
    git(repository.git_dir, "update-ref", "refs/heads/main", commits[-1])
    before = everything(repository)
    history = History()
    tip = make(history)
    with pytest.raises(UntrustedError) as caught:
        take_in(repository, history.pack(), [tip], [commits[-1]])
    problem = caught.value.problems[0]
    assert what in problem.what
    assert place in problem.place
    assert problem.revision in {tip, *history.objects}
    if "NUL" in what or problem.place.partition(" at revision ")[2]:
        assert problem.author == "Eve <eve@example.com>"
    assert problem.what in caught.value.message
    assert everything(repository) == before


def test_it_is_told_how_much_is_wrong(repository: Repository, way: str) -> None:
    history = History()
    parents: list[ObjectId] = []
    for number in range(30):
        link = history.tree(entry("120000", f"l{number}", history.blob(b"x")))
        parents = [history.commit(link, *parents, time=number, who=b"Mallory %d" % number)]
    with pytest.raises(UntrustedError, match=r"l0 at revision .*: it is a symbolic link, by Mallory 0 .*, and 29 more"):
        take_in(repository, history.pack(), parents)
    with pytest.raises(UntrustedError) as caught:
        take_in(repository, history.pack(), parents)
    assert len(caught.value.problems) == 20
    assert {problem.author for problem in caught.value.problems} >= {"Mallory 1 <eve@example.com>"}


def test_what_a_terminal_would_obey_is_told_in_signs(repository: Repository, way: str) -> None:
    history = History()
    tree = history.tree(entry("120000", "\x1b[2J\u202e", history.blob(b"x")))
    tip = history.commit(tree, who=b"\x1b]0;owned\x07")
    with pytest.raises(UntrustedError) as caught:
        take_in(repository, history.pack(), [tip])
    problem = caught.value.problems[0]
    assert (problem.place + problem.author + caught.value.message).isprintable()
    assert problem.place.startswith("\\x1b[2J\\u202e at revision ")


HARMLESS = {
    "executable": entry("100755", "run.sh", object_id("blob", b"x")),
    "case twins": entry("100644", "A", object_id("blob", b"x")) + entry("100644", "a", object_id("blob", b"x")),
    "latin-1": entry("100644", b"caf\xe9", object_id("blob", b"x")),
    "backslash": entry("100644", "a\\b", object_id("blob", b"x")),
    "names of git": entry("100644", ".gitattributes", object_id("blob", b"x"))
    + entry("100644", ".gitmodules", object_id("blob", b"x")),
    "longest name": entry("100644", "n" * 255, object_id("blob", b"x")),
    "bidirectional": entry("100644", "\u202ea", object_id("blob", b"x")),
    "empty folder": entry("40000", "e", object_id("tree", b"")),
    "not ours": entry("100644", "deep.json", object_id("blob", b"[" * 5000)),
}


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_ordinary_files_that_are_not_ours_travel_along(repository: Repository, name: str, way: str) -> None:
    history = History()
    history.blob(b"x")
    history.blob(b"[" * 5000)
    history.tree()
    tip = history.commit(history.add("tree", HARMLESS[name]), message=b"caf\xe9, and no encoding said\n")
    take_in(repository, history.pack(), [tip])
    assert git(repository.git_dir, "cat-file", "-t", tip).strip() == "commit"


def test_what_is_strange_in_our_own_history_is_no_reason_to_refuse_more(repository: Repository, way: str) -> None:
    history = History()
    link = entry("120000", "link", history.blob(b"x"))
    first = history.commit(history.tree(link), time=1)
    store(repository, history)
    more = history.tree(link, entry("100644", "file", history.blob(b"1")))
    second = history.commit(more, first, time=2)
    take_in(repository, history.pack(), [second], [first])
    changed = history.tree(
        entry("120000", "link", history.blob(b"elsewhere")), entry("100644", "file", history.blob(b"1"))
    )
    third = history.commit(changed, second, time=3)
    with pytest.raises(UntrustedError, match="link at revision"):
        take_in(repository, history.pack(), [third], [second])


def test_a_merge_is_compared_with_all_its_parents(repository: Repository, way: str) -> None:
    history = History()
    link = entry("120000", "link", history.blob(b"x"))
    files = [entry("100644", f"f{n}", history.blob(b"%d" % n)) for n in range(3)]
    ours = history.commit(history.tree(link), time=1)
    theirs = history.commit(history.tree(files[0]), time=1)
    store(repository, history)
    merged = history.commit(history.tree(link, *files), theirs, ours, time=2)
    take_in(repository, history.pack(), [merged], [ours, theirs])
    alone = history.commit(history.tree(link, *files[:2]), theirs, time=2)
    with pytest.raises(UntrustedError, match="link"):
        take_in(repository, history.pack(), [alone], [theirs])


def test_an_object_that_is_here_but_that_nothing_known_reaches_is_looked_at(repository: Repository, way: str) -> None:
    """A first pack brings what nobody looks at, a second one leads to it."""
    history = History()
    bad = history.commit(history.tree(entry("120000", "link", history.blob(b"x"))), time=1)
    good, commits = random_history(1, 2)
    take_in(repository, History(good.objects | history.objects).pack(), commits)
    with pytest.raises(UntrustedError, match="link"):
        take_in(repository, pack_of([]), [bad], commits)
    above = History()
    tip = above.commit(above.tree(entry("40000", "a", history.tree(entry("120000", "link", history.blob(b"x"))))))
    with pytest.raises(UntrustedError, match="a/link"):
        take_in(repository, above.pack(), [tip], commits)


def broken_packs() -> dict[str, bytes]:
    """Return packs that are none."""
    base = b"base " * 100
    good = pack_of([Item("blob", base), Delta(1, delta(base, base + b"more"))])
    far = size(10) + size(20) + copy(0, 20)
    return {
        "no pack": b"HTTP/1.1 200 OK\r\n\r\n",
        "nearly nothing": b"PACK",
        "an unknown version": b"PACK\0\0\0\7" + good[8:],
        "cut short": good[:-30],
        "without its checksum": good[:-20],
        "with a wrong checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "a byte is wrong": good[:30] + bytes([good[30] ^ 1]) + good[31:],
        "more objects than it says": pack_of([Item("blob", b"1"), Item("blob", b"2")], count=1),
        "fewer objects than it says": pack_of([Item("blob", b"1")], count=2),
        "junk behind": good + b"junk",
        "an object that is longer": pack_of([Item("blob", b"12345", size=3)]),
        "an object that is shorter": pack_of([Item("blob", b"12345", size=7)]),
        "an object without a size": b"PACK\0\0\0\2\0\0\0\1" + b"\xbf" * 30,
        "a delta of nothing": pack_of([Delta("12" * 20, delta(base, base + b"x"))]),
        "a delta of itself": pack_of([Delta(0, delta(base, base))]),
        "a delta of what is before the pack": pack_of([Item("blob", base), Delta(9, delta(base, base))]),
        "deltas in a circle": pack_of(
            [Delta(object_id("blob", b"b"), delta(b"b", b"a")), Delta(object_id("blob", b"a"), delta(b"a", b"b"))]
        ),
        "a delta of another base": pack_of([Item("blob", base), Delta(1, delta(base + b"x", base))]),
        "a delta that reads past its base": pack_of([Item("blob", b"0123456789"), Delta(1, far)]),
        "a delta that says too little": pack_of([Item("blob", base), Delta(1, size(len(base)) + size(9) + copy(0, 5))]),
        "a delta that says too much": pack_of([Item("blob", base), Delta(1, size(len(base)) + size(5) + copy(0, 9))]),
        "a delta that is cut": pack_of([Item("blob", base), Delta(1, size(len(base)) + size(9) + b"\x09abc")]),
        "a delta with an empty command": pack_of([Item("blob", base), Delta(1, size(len(base)) + size(9) + b"\0")]),
        "an empty delta": pack_of([Item("blob", base), Delta(1, b"")]),
    }


@pytest.mark.parametrize("name", sorted(broken_packs()))
@pytest.mark.parametrize("piece", [7, 10_000])
def test_a_broken_pack_is_refused(repository: Repository, name: str, way: str, piece: int) -> None:
    before = everything(repository)
    with pytest.raises(UntrustedError, match=r"the pack that the remote sent is broken: \w"):
        take_in(repository, broken_packs()[name], [], piece=piece)
    assert everything(repository) == before


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 50), way=st.sampled_from(WAYS), data=st.data())
def test_damage_is_refused_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, seed: int, way: str, data: st.DataObject
) -> None:
    repository = open_repository(tmp_path_factory.mktemp("damage") / "store", bare=True)
    history, commits = random_history(seed, 6)
    pack = bytearray(history.pack())
    for _ in range(data.draw(st.integers(0, 3))):
        pack[data.draw(st.integers(0, len(pack) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # by somebody who knows how
        pack[-20:] = hashlib.sha1(pack[:-20]).digest()
    pack = pack[: len(pack) - data.draw(st.sampled_from([0, 0, 0, 1, 25]))]
    before = everything(repository)
    with pytest.MonkeyPatch.context() as patch:
        choose(way, patch)
        try:
            take_in(repository, bytes(pack), commits)
        except GitStateError as error:
            assert isinstance(error, UntrustedError | TooLargeError)
            assert everything(repository) == before
            return
    git(repository.git_dir, "rev-list", "--objects", *commits)
    git(repository.git_dir, "fsck", "--full", *commits)


LARGE = {
    "the pack": (Limits(pack_bytes=900), "more than 900 bytes"),
    "objects": (Limits(objects=3), "more than 3"),
    "an object": (Limits(object_bytes=1500), "an object of more than 1500 bytes|it has 2000 bytes, more than 1500"),
}


@pytest.mark.parametrize("name", sorted(LARGE))
def test_limits_are_kept(repository: Repository, name: str, way: str) -> None:
    limits, what = LARGE[name]
    history, commits = random_history(1, 5)
    tip = history.commit(history.files({"big": random.Random(1).randbytes(2000)}), commits[-1])
    before = everything(repository)
    with pytest.raises((TooLargeError, UntrustedError), match=what):
        take_in(repository, history.pack(), [tip], limits=limits)
    assert everything(repository) == before


def test_more_limits_are_kept(repository: Repository, way: str) -> None:
    def refused(files: dict[str, bytes], limits: Limits) -> str:
        history = History()
        tip = history.commit(history.files(files))
        with pytest.raises(UntrustedError) as caught:
            take_in(repository, history.pack(), [tip], limits=limits)
        return caught.value.problems[0].place.partition(" at ")[0] + ": " + caught.value.problems[0].what

    document = {"jobs/x/job.json": b'{"a": 1, "b": 2}', "other.json": b'{"a": 1, "b": 2}'}
    assert refused(document, Limits(document_bytes=10)) == "jobs/x/job.json: it has 16 bytes, more than 10"
    assert refused(document, Limits(tree_bytes=35)).startswith("the top: it has 69 bytes, more than 35")
    assert refused(document, Limits(depth=2)).startswith("jobs")
    assert refused(document, Limits(path_bytes=14)) == "jobs/x/...: its path is too long"
    assert refused({"jobs/x/job.json": b"[[[[]]]]"}, Limits(nesting=3)).endswith("more than 3 levels deep")
