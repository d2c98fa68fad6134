"""A pack that is broken, or larger than it seems, is refused in bounded time and memory."""

import functools
import hashlib
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine.repository import Repository, open_repository
from gitstate.engine.transfer.incoming import Limits
from gitstate.errors import GitStateError, TooLargeError, UntrustedError
from tests.engine.arriving import WAYS, choose, everything, take_in
from tests.engine.conftest import git
from tests.engine.histories import Delta, History, Item, copy, delta, object_id, pack_of, random_history, size, write


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(tmp_path / "store", bare=True)


def one_object(entry: bytes) -> bytes:
    """Return a pack whose only object is written so."""
    data = b"PACK\0\0\0\2\0\0\0\1" + entry
    return data + hashlib.sha1(data).digest()


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
        "an object without a size": one_object(b"\xbf" * 30),
        "an object of no kind": one_object(b"\x05" + zlib.compress(b"12345")),
        "an object of a kind that nobody has": one_object(b"\x55" + zlib.compress(b"12345")),
        "a delta of what is far before the pack": one_object(
            b"\x65" + b"\xff" * 12 + b"\x01" + zlib.compress(b"12345")
        ),
        "a delta of a size that nothing has": pack_of([Item("blob", base), Delta(1, b"\xff" * 12 + b"\1")]),
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
        problem = caught.value.problems[0]
        return f"{problem.place.partition(' at ')[0]}: {problem.what}"

    document = {"jobs/x/job.json": b'{"a": 1, "b": 2}', "other.json": b'{"a": 1, "b": 2}'}
    assert refused(document, Limits(document_bytes=10)) == "jobs/x/job.json: it has 16 bytes, more than 10"
    assert refused(document, Limits(tree_bytes=35)).startswith("the top: it has 69 bytes, more than 35")
    assert refused(document, Limits(depth=2)).startswith("jobs")
    assert refused(document, Limits(path_bytes=14)) == "jobs/x/...: its path is too long"
    assert refused({"jobs/x/job.json": b"[[[[]]]]"}, Limits(nesting=3)).endswith("more than 3 levels deep")


MEGABYTE = 1 << 20
_ARRIVE = """
import resource, sys, time
from pathlib import Path
from gitstate.engine import cgit
from gitstate.engine.transfer import incoming, indexing
from gitstate.engine.transfer.incoming import Incoming
from gitstate.engine.repository import open_repository
from gitstate.errors import GitStateError

store, pack, tip, way = sys.argv[1:]
if way != "few":
    incoming._FEW = 0
if way == "no git":
    cgit.shutil.which = lambda _: None
indexing._PATIENCE = 3.0
began = time.monotonic()
try:
    with Incoming(open_repository(Path(store))) as arriving, open(pack, "rb") as file:
        while piece := file.read(50_000):
            arriving.write(piece)
        arriving.index()
        arriving.check([tip], [], lambda path: True)
    said = "taken in"
except GitStateError as error:
    said = f"{type(error).__name__}: {error.message}"
status = Path("/proc/self/status")  # the other figure begins with that of whoever started this
own = int(status.read_text().partition("VmHWM:")[2].split()[0]) if status.exists() else 0
print(own // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, time.monotonic() - began, said)
"""


@functools.cache
def zeros(count: int, repeated: int = 1) -> bytes:
    return pack_of([Item("blob", b"\0" * count + b"%d" % n) for n in range(repeated)], level=9)


@functools.cache
def copies(result: int, repeated: int) -> bytes:
    """Return a pack of deltas of a megabyte, each of which makes so many megabytes of it."""
    base = random.Random(1).randbytes(1000) * 1000 + b"\0" * (MEGABYTE - 1_000_000)
    commands = copy(0, MEGABYTE) * result
    made = [
        Delta(n + 1, size(MEGABYTE) + size(result * MEGABYTE + 1) + commands + bytes([1, n % 256]))
        for n in range(repeated)
    ]
    return pack_of([Item("blob", base), *made])


@functools.cache
def chain(length: int) -> bytes:
    """Return a pack of a megabyte, and of deltas, each of the one before it."""
    base = b"\0" * MEGABYTE
    made = [
        Delta(1, size(MEGABYTE) + size(MEGABYTE) + copy(0, MEGABYTE - 2) + b"\2%c%c" % (n >> 8, n & 255))
        for n in range(1, length)
    ]
    return pack_of([Item("blob", base), *made])


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a file of zeros": (lambda: zeros(300 * MEGABYTE), ""),
    "many files of zeros": (lambda: zeros(30 * MEGABYTE, 6), ""),
    "a delta that makes much": (lambda: copies(300, 1), "TooLargeError"),
    "deltas that make much": (lambda: copies(100, 60), ""),
    "a long chain of deltas": (lambda: chain(100), ""),
    "a count that is a lie": (lambda: b"PACK\0\0\0\2\x01\0\0\0" + b"\0" * 100, "UntrustedError"),
    "a count that is a great lie": (lambda: b"PACK\0\0\0\2\xff\0\0\0" + b"\0" * 100, "TooLargeError"),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
@pytest.mark.parametrize("chosen", WAYS)
def test_a_bomb_takes_bounded_time_and_memory(tmp_path: Path, name: str, chosen: str) -> None:
    """What is in such a pack is missing in the end, so that even one that is read is not taken in."""
    make, expected = BOMBS[name]
    path = write(tmp_path, make())
    assert path.stat().st_size < 3 * MEGABYTE
    command = [sys.executable, "-c", _ARRIVE, os.fspath(tmp_path / "store"), os.fspath(path), "1" * 40, chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    own, of_git, seconds, said = done.stdout.split(maxsplit=3)
    assert said.startswith((expected,) if expected else ("TooLargeError", "UntrustedError")), said
    assert int(own) < 400, said
    assert int(of_git) < 400, said
    assert float(seconds) < 60, said
    assert not list((tmp_path / "store/.git/gitstate").iterdir())
