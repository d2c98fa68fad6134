"""Packs that are read without dulwich: those of ours, and those with deltas that C git makes."""

import os
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dulwich.pack import create_delta
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import packfolder, packs
from gitstate.engine.objects import GitObject, Kind
from gitstate.engine.packfolder import MappedPack, PackFolder
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import open_repository
from gitstate.errors import CorruptionError
from tests.engine.conftest import OpenEngine, git, packs_of, save
from tests.handles import open_below

_NUMBERS = {"commit": 1, "tree": 2, "blob": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def put(folder: Path, data: bytes, index: bytes, name: str = "pack-1") -> MappedPack:
    (folder / f"{name}.pack").write_bytes(data)
    (folder / f"{name}.idx").write_bytes(index)
    return MappedPack(str(folder), name)


_BODIES = st.binary(max_size=40) | st.integers(0, 20_000).map(
    lambda size: bytes(number * number % 251 for number in range(size))
)


@given(st.lists(st.tuples(st.sampled_from(["blob", "tree", "commit"]), _BODIES), min_size=1, max_size=5))
def test_objects_are_read_one_by_one_and_together(contents: list[tuple[Kind, bytes]]) -> None:
    items = {item.id: item for item in (GitObject(kind, body) for kind, body in contents)}
    with TemporaryDirectory() as folder:
        pack = packs.build(items.values())
        put(Path(folder), pack.data, pack.index, pack.name)
        found = PackFolder(folder)
        wanted = {item.id: (_NUMBERS[item.kind], item.body) for item in items.values()}
        assert {each: found.read(each) for each in wanted} == wanted
        assert found.read_all([*wanted, "1" * 40]) == wanted
        assert found.read("1" * 40) is None


_IDS = st.binary(min_size=20, max_size=20) | st.integers(0, 300).map(lambda number: b"\x07" * 18 + number.to_bytes(2))
_PLACES = st.integers(12, 1 << 31) | st.integers(1 << 31, 1 << 40)


@given(st.dictionaries(_IDS, _PLACES, max_size=60), st.lists(_IDS, max_size=20))
def test_an_index_tells_where_an_object_begins(places: dict[bytes, int], others: list[bytes]) -> None:
    index = packs.index([(object_id, 0, place) for object_id, place in places.items()], bytes(20))
    with TemporaryDirectory() as folder:
        pack = put(Path(folder), b"", index)
        for object_id in (*places, *others):
            assert pack.place_of(object_id) == places.get(object_id)
        for asked in ({*others}, {*places, *others}, {*list(places)[:1]}):
            assert pack.places_of(asked) == sorted((places[each], each) for each in asked if each in places)


@given(st.binary(max_size=60), st.integers(0, 70))
def test_what_is_no_object_is_none(data: bytes, place: int) -> None:
    with TemporaryDirectory() as folder:
        found = put(Path(folder), data, b"").read(place)
    assert found is None or found[0] in (1, 2, 3, 4)


@pytest.mark.parametrize("index", [b"", b"\377tOc\0\0\0\1" + bytes(2000), b"\377tOc\0\0\0\2" + b"\1" * 2000])
def test_an_index_that_cannot_be_read_has_nothing(folder: Path, index: bytes) -> None:
    pack = put(folder, b"PACK", index)
    assert pack.place_of(bytes(20)) is None
    assert pack.places_of({bytes(20)}) == []


def entry(kind: int, body: bytes, size: int | None = None, between: bytes = b"") -> bytes:
    size = len(body) if size is None else size
    head, size = [kind << 4 | size & 15], size >> 4
    while size:
        head[-1] |= 128
        head.append(size & 127)
        size >>= 7
    return bytes(head) + between + zlib.compress(body)


def back(distance: int) -> bytes:
    """Return how far back the base of a delta lies, as a pack says it."""
    said = [distance & 127]
    while distance := distance >> 7:
        distance -= 1
        said.insert(0, distance & 127 | 128)
    return bytes(said)


def test_what_says_that_it_is_large_or_is_larger_than_it_says_is_left_to_others(folder: Path) -> None:
    assert put(folder, entry(3, b"x" * 100, size=1 << 40), b"").read(0) is None
    assert put(folder, entry(3, b"x" * 10_000, size=5), b"").read(0) is None
    base, bomb = b"PACK" + entry(3, b"x"), b"\x01" + b"\xff\xff\xff\xff\x7f" + b"\x90\x01"
    for delta, made in ((bomb, None), (b"\x01\x01\x90\x01", (3, b"x"))):
        there = put(folder, base + entry(6, delta, between=back(len(base) - 4)), b"")
        assert there.read(len(base)) == made


@pytest.mark.parametrize("size", [100, 127, 128, 129, 300, 20_000])
def test_a_delta_says_how_large_what_it_makes_is(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    base = b"PACK" + entry(3, body)
    for made in (body + b"x", body[1:] + b"\0" * 200):
        data = base + entry(6, b"".join(create_delta(body, made)), between=back(len(base) - 4))
        for limit, found in ((len(made) + 1, (3, made)), (len(made), None)):
            monkeypatch.setattr(packfolder, "_LARGE", limit)
            assert put(folder, data, b"").read(len(base)) == found


def test_deltas_on_one_another_are_read_and_a_chain_without_an_end_is_not(folder: Path) -> None:
    bodies = [b"a line of the first body\n" * 20]
    data, places = b"PACK" + entry(3, bodies[0]), [4]
    for number in range(70):
        bodies.append(bodies[-1] + b"%d\n" % number)
        delta = b"".join(create_delta(bodies[-2], bodies[-1]))
        between = back(len(data) - places[-1])
        places.append(len(data))
        data += entry(6, delta, between=between)
    assert put(folder, data, b"").read(places[60]) == (3, bodies[60])
    assert put(folder, data, b"").read(places[70]) is None
    itself = entry(7, b"\0\0", between=b"\7" * 20)
    assert put(folder, itself, packs.index([(b"\7" * 20, 0, 0)], bytes(20))).read(0) is None


@pytest.fixture(params=["true", "false"], ids=["by offset", "by id"])
def repacked(request: pytest.FixtureRequest, open_engine: OpenEngine, tmp_path: Path) -> Iterator[Path]:
    """A store whose objects C git packed with deltas."""
    engine = open_engine()
    lines = [random.Random(number).randbytes(40).hex() for number in range(200)]
    for number in range(30):
        lines[number * 5] = f"changed {number}"
        save(engine, {"a/b": "\n".join(lines).encode(), "c": b"%d" % number})
    engine.close()
    store = tmp_path / "store"
    git(store, "-c", f"repack.useDeltaBaseOffset={request.param}", "repack", "-a", "-d", "-f", "-q", "--depth=50")
    yield store


def all_objects(store: Path) -> list[str]:
    return git(store, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()


def test_what_c_git_packed_is_read_without_dulwich(repacked: Path) -> None:
    folder = PackFolder(str(repacked / ".git/objects/pack"))
    assert "chain length" in git(repacked, "verify-pack", "-v", *map(str, repacked.glob(".git/objects/pack/*.idx")))
    ids = all_objects(repacked)
    together = folder.read_all(ids)
    assert together.keys() == {*ids}
    for object_id, (number, body) in together.items():
        kind = next(name for name, each in _NUMBERS.items() if each == number)
        assert GitObject(kind, body).id == object_id  # type: ignore[arg-type]
        assert PackFolder(str(repacked / ".git/objects/pack")).read(object_id) == (number, body)


def test_of_what_is_damaged_nothing_wrong_is_read(repacked: Path) -> None:
    (pack,) = packs_of(repacked)
    good, ids, chosen = pack.read_bytes(), all_objects(repacked), random.Random(1)
    pack.chmod(0o644)
    for _ in range(10):
        bad = bytearray(good)
        bad[chosen.randrange(len(bad))] ^= 1 << chosen.randrange(8)
        pack.write_bytes(bad)
        reader = ObjectReader(open_repository(repacked, create=False))
        for object_id in ids:
            try:
                kind, body = reader.any(object_id)
            except CorruptionError as error:
                assert object_id in str(error)
            else:
                assert GitObject(kind, body).id == object_id  # type: ignore[arg-type]
        reader.close()
    pack.write_bytes(good)


def test_the_id_judges_what_is_read_and_not_the_checksum_of_zlib(open_engine: OpenEngine, tmp_path: Path) -> None:
    store = tmp_path / "store"
    engine = open_engine(check=False)
    commit = save(engine, {"a": b"content " * 20})
    engine.close()
    git(store, "tag", "-a", "-m", "a pin", "pin", commit)
    git(store, "repack", "-a", "-d", "-q")
    tag = git(store, "rev-parse", "pin").strip()
    (path,) = packs_of(store)
    path.chmod(0o644)
    sound = path.read_bytes()
    found = MappedPack(str(path.parent), path.stem)
    place = found.place_of(bytes.fromhex(tag))
    assert place is not None
    _, size, start = packs.object_header(sound, place)
    stream = zlib.decompressobj()
    body = stream.decompress(sound[start:])
    end = len(sound) - len(stream.unused_data)

    def reader_of(data: bytes) -> ObjectReader:
        path.write_bytes(data)
        return ObjectReader(open_repository(store))

    assert len(body) == size
    with closing(reader_of(sound[: end - 1] + bytes([sound[end - 1] ^ 1]) + sound[end:])) as reader:
        assert reader.peel(tag) == commit, "all that is said is there"
    for at in range(start + 2, end - 4):  # and of all else some bits
        wrong = sound[:at] + bytes([sound[at] ^ 0x24]) + sound[at + 1 :]
        with closing(reader_of(wrong)) as reader, suppress(CorruptionError):
            assert reader.peel(tag) == commit


def test_objects_of_a_kind_are_read_together_from_wherever_they_are(open_engine: OpenEngine, tmp_path: Path) -> None:
    head = save(open_engine(), {"a": b"1", "b": b"2"})
    (tmp_path / "loose").write_bytes(b"3")
    git(tmp_path / "store", "hash-object", "-w", str(tmp_path / "loose"))
    engine = open_engine()
    ids = [GitObject("blob", b"%d" % number).id for number in (1, 3, 2, 1)]
    assert engine.read_all(ids, "blob") == [b"1", b"3", b"2", b"1"]
    for wrong in ("1" * 40, head):
        with pytest.raises(CorruptionError, match=wrong):
            engine.read_all([*ids, wrong], "blob")


def test_packs_that_another_thread_finds_first_are_asked(open_engine: OpenEngine, tmp_path: Path) -> None:
    save(open_engine(), {"a": b"1"})
    first = GitObject("blob", b"1").id
    reads: list[Callable[[PackFolder], object]] = [
        lambda folder: folder.read(first),
        lambda folder: folder.read_all([first]).get(first),
    ]
    for read in reads:
        folder = PackFolder(str(tmp_path / "store/.git/objects/pack"))
        look = folder.look
        folder.look = lambda seen=None, look=look: look() and look(seen)  # type: ignore[method-assign, misc]
        assert read(folder) == (3, b"1")


def test_packs_that_are_gone_are_let_go_of(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine()
    save(engine, {"a": b"1"})
    save(engine, {"a": b"2"})
    folder = PackFolder(str(tmp_path / "store/.git/objects/pack"))
    first = GitObject("blob", b"1").id
    assert folder.read(first) == (3, b"1")
    git(tmp_path / "store", "repack", "-a", "-d", "-q")
    assert folder.read(first) == (3, b"1")
    assert folder.look() and not folder.look()
    if os.path.isdir("/proc/self/fd"):
        assert not [path for path in open_below(tmp_path) if path.endswith("(deleted)")]
    assert folder.read(first) == (3, b"1")
