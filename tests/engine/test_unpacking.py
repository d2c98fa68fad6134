"""Packs of others are read as git reads them, within limits."""

import hashlib
import random
import struct
import subprocess
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitstate.engine.transfer.unpacking import OverBudgetError, Unpacker, apply_delta
from gitstate.errors import TooLargeError, UntrustedError
from tests.engine.histories import Delta, Item, copy, delta, object_id, pack_of, size

MEGABYTE = 1 << 20


def unpack(data: bytes, outside: dict[bytes, tuple[str, bytes]] | None = None, **limits: int) -> dict[str, bytes]:
    limits = {"object_bytes": MEGABYTE, "held_bytes": 10 * MEGABYTE} | limits
    pack = Unpacker(data, (outside or {}).get, **limits)
    return {found.id.hex(): found.body for found in pack.objects() if found.offset}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), window=st.sampled_from([0, 10, 50]), offsets=st.booleans())
def test_what_git_packs_is_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, window: int, offsets: bool
) -> None:
    folder = tmp_path_factory.mktemp("unpacking")
    draw = random.Random(seed)
    base = draw.randbytes(3000)
    bodies = {b"", draw.randbytes(70_000)}
    for _ in range(30):
        start, end = sorted(draw.sample(range(3000), 2))
        bodies.add(base[:start] + draw.randbytes(draw.randrange(200)) + base[end:])
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    files = [folder / str(number) for number in range(len(bodies))]
    for file, body in zip(files, bodies, strict=True):
        file.write_bytes(body)
    command = ["git", "-C", str(folder), "hash-object", "-w", "--no-filters", "--stdin-paths"]
    ids = subprocess.run(command, input=b"\n".join(map(bytes, files)), capture_output=True, check=True).stdout
    command = ["git", "-C", str(folder), "pack-objects", "--stdout", "-q", f"--window={window}"]
    command += ["--delta-base-offset"] if offsets else []
    data = subprocess.run(command, input=ids, capture_output=True, check=True).stdout
    assert unpack(data) == {object_id("blob", body): body for body in bodies}


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_delta_makes_what_it_was_made_for(base: bytes, result: bytes) -> None:
    assert apply_delta(base, delta(base, result), 300) == result


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_a_delta_or_refused(base: bytes, said: bytes) -> None:
    with suppress(UntrustedError, TooLargeError):
        assert len(apply_delta(base, size(len(base)) + said, 1000)) <= 1000


def test_a_copy_without_a_length_is_of_64_kilobytes() -> None:
    base = bytes(range(256)) * 300
    assert (
        apply_delta(base, size(len(base)) + size(0x10000) + copy(5, 0)[:1] + b"\5\0\0\0\0\0\0", MEGABYTE)
        == base[5 : 5 + 0x10000]
    )


def test_deltas_of_one_another_in_any_order() -> None:
    bodies = [b"version %d of something that is long enough" % n for n in range(6)]
    ids = [object_id("blob", body) for body in bodies]
    deltas = [Delta(ids[n - 1], delta(bodies[n - 1], bodies[n])) for n in range(1, 6)]
    expected = dict(zip(ids, bodies, strict=True))
    assert unpack(pack_of([*reversed(deltas), Item("blob", bodies[0])])) == expected
    outside = {bytes.fromhex(ids[0]): ("blob", bodies[0])}
    assert unpack(pack_of(deltas[::-1]), outside) == dict(list(expected.items())[1:])


def test_a_base_that_is_both_inside_and_outside() -> None:
    bodies = [b"one", b"two", b"three"]
    ids = [object_id("blob", body) for body in bodies]
    items = [Delta(ids[1], delta(bodies[1], bodies[2])), Delta(ids[0], delta(bodies[0], bodies[1]))]
    outside = {bytes.fromhex(ids[n]): ("blob", bodies[n]) for n in range(2)}
    assert unpack(pack_of(items), outside) == dict(zip(ids[1:], bodies[1:], strict=True))


def test_limits() -> None:
    body = b"\0" * 1000
    big = [Item("blob", body + b"%d" % n) for n in range(10)]
    with pytest.raises(TooLargeError, match="more than 999 bytes"):
        unpack(pack_of(big), object_bytes=999)
    with pytest.raises(OverBudgetError):
        unpack(pack_of(big), total_bytes=5000)
    fan: list[Item | Delta] = [Item("blob", body)]
    for n in range(20):
        fan += [Delta(2 * n + 1, delta(body, body + b"%d" % n))] * 2
    with pytest.raises(OverBudgetError):
        unpack(pack_of(fan), total_bytes=20_000)
    tall: list[Item | Delta] = [Item("blob", body)]
    last = body
    for _ in range(20):  # each has two deltas, and is kept for the other one while the first makes all of its own
        tall += [Delta(object_id("blob", last), delta(last, last + made)) for made in (b"a", b"b")]
        last += b"b"
    with pytest.raises(TooLargeError, match="memory"):
        unpack(pack_of(tall), held_bytes=5000)


def test_a_stream_that_zlib_would_not_make() -> None:
    """Empty blocks make nothing, and as many as one likes may stand in it."""
    deflater = zlib.compressobj()
    stream = (
        deflater.compress(b"body")
        + b"".join(deflater.flush(zlib.Z_FULL_FLUSH) for _ in range(1))
        + b"\0\0\0\xff\xff" * 50_000
    )
    stream += deflater.flush()
    data = struct.pack(">4sII", b"PACK", 2, 1) + bytes([3 << 4 | 4]) + stream
    data += hashlib.sha1(data).digest()
    assert unpack(data) == {object_id("blob", b"body"): b"body"}
