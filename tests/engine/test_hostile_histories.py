"""A history that would do harm is refused, and told by name; what is only strange travels along."""

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import Repository, open_repository
from gitstate.engine.transfer.incoming import Limits
from gitstate.errors import UntrustedError
from tests.engine.arriving import WAYS, choose, everything, take_in
from tests.engine.conftest import git
from tests.engine.histories import History, entry, object_id, pack_of, random_history, store


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", bare=True)


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
        take_in(repository, history.pack(), [tip], [commits[-1]], limits=Limits(entries=100_000))
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


def mutated(draw: random.Random, body: bytes) -> bytes:
    """Return a tree with one thing in it that may be wrong."""
    entries = re.findall(rb"[0-7]+ [^\0]*\0.{20}", body, re.DOTALL)
    number = draw.randrange(len(entries)) if entries else 0
    what = draw.randrange(7) if entries else 7
    if what == 0:
        entries.insert(draw.randrange(len(entries) + 1), entries[number])
    elif what == 1:
        draw.shuffle(entries)
    elif what == 2:
        mode, _, rest = entries[number].partition(b" ")
        entries[number] = draw.choice([b"40000", b"100755", b"120000", b"160000", b"100664", b"0" + mode]) + b" " + rest
    elif what == 3:
        entries[number] = entries[number][:-20] + draw.randbytes(20)
    elif what == 4:
        names = [b".git", b"f0", b"a", b"A", b"z", b"f0.x", b""]
        mode, _, rest = entries[number].partition(b" ")
        entries[number] = mode + b" " + draw.choice(names) + rest[rest.index(b"\0") :]
    elif what == 5:
        del entries[number]
    elif what == 6:
        place = draw.randrange(len(body))
        return body[:place] + draw.randbytes(1) + body[place + 1 :]
    return b"".join(entries)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 100_000), way=st.sampled_from(WAYS), first=st.booleans())
def test_what_is_taken_in_is_good_to_git(
    tmp_path_factory: pytest.TempPathFactory, seed: int, way: str, first: bool
) -> None:
    """Nothing is said here of what is refused; in what is taken in git finds nothing wrong."""
    repository = open_repository(tmp_path_factory.mktemp("mutated") / "store", bare=True)
    draw = random.Random(seed)
    history, commits = random_history(seed, 5)
    known: list[ObjectId] = [] if first else commits
    if known:
        store(repository, history)
    root = history.objects[commits[-1]][1][5:45].decode()
    replaced: dict[ObjectId, ObjectId] = {}
    trees = [name for name, (kind, _) in history.objects.items() if kind == "tree"]
    for name in trees:  # what is in a tree comes before it
        body = history.objects[name][1]
        for old, new in replaced.items():
            body = body.replace(bytes.fromhex(old), bytes.fromhex(new))
        if name == root or draw.random() < 0.2:
            body = mutated(draw, body)
        if body != history.objects[name][1]:
            replaced[name] = history.add("tree", body)
    tip = history.commit(replaced.get(root, root), commits[-1], time=1_800_000_000)
    with pytest.MonkeyPatch.context() as patch:
        choose(way, patch)
        try:
            take_in(repository, history.pack(), [tip], known)
        except UntrustedError:
            return
    git(repository.git_dir, "update-ref", "refs/heads/main", tip)
    copy = os.fspath(repository.git_dir / "copy")  # of what is reached: the rest of a pack does no harm
    git(repository.git_dir, "-c", "fetch.fsckObjects=true", "clone", "-q", "--bare", "--no-local", ".", copy)
    modes = {line.split()[0] for line in git(repository.git_dir, "ls-tree", "-r", "-t", tip).splitlines()}
    assert modes <= {"100644", "100755", "040000"}
