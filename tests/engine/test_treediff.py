"""Trees compared as bytes differ where their entries do, and nowhere else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine.transfer import treediff
from gitstate.engine.transfer.treediff import Listing, compare
from tests.engine.histories import entry, tree_of

Entries = dict[bytes, tuple[str, bytes]]  # by name

ENTRIES: st.SearchStrategy[Entries] = st.dictionaries(
    st.sampled_from([b"a", b"a.b", b"a0", b"b", b"job.json", b"sheets", b"z" * 40]),
    st.tuples(st.sampled_from(["100644", "100755", "40000"]), st.binary(min_size=20, max_size=20)),
)


def listing(entries: Entries) -> Listing:
    return Listing(tree_of([entry(mode, name, target.hex()) for name, (mode, target) in entries.items()]))


def naive(new: Entries, old: Entries) -> set[tuple[bytes, bytes, bytes, bytes | None]]:
    found = set()
    for name, (mode, target) in new.items():
        was = old[name][1] if name in old and old[name][0] == mode else None
        if was != target:
            found.add((mode.encode(), name, target, was))
    return found


@given(ENTRIES, ENTRIES, st.data())
def test_what_differs_is_found(old: Entries, new: Entries, data: st.DataObject) -> None:
    if data.draw(st.booleans()):  # the same, but for a few ids
        names = st.lists(st.sampled_from(sorted(old)), max_size=3) if old else st.just([])
        new = old | {name: (old[name][0], data.draw(st.binary(min_size=20, max_size=20))) for name in data.draw(names)}
    before, after = listing(old), listing(new)
    changed, faults = compare(after, before)
    assert not faults
    assert len(changed) == len(set(changed))
    assert set(changed) == naive(new, old)
    if after.body != before.body:
        quickly = before.replaced(after)
        assert quickly is None or quickly == changed
        same_shape = [(m, n) for n, (m, _) in sorted(old.items())] == [(m, n) for n, (m, _) in sorted(new.items())]
        assert (quickly is not None) == same_shape
    assert after.is_tree
    for name, (mode, target) in new.items():
        assert after.get(mode.encode(), name) == target
        assert after.get(b"120000", name) is None


@given(ENTRIES, st.data())
def test_what_is_taken_for_the_same_shape_is_as_sound_as_what_was_before(old: Entries, data: st.DataObject) -> None:
    before = listing(old)
    body = bytearray(before.body)
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    after = Listing(bytes(body))
    if after.body == before.body:
        return
    changed = before.replaced(after)
    if changed is not None:
        assert changed == compare(after, before)[0]
        assert not compare(after, None)[1]


def test_many_differences_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(1)
    old = {b"%05d" % n: ("100644", draw.randbytes(20)) for n in range(50_000)}
    new = {name: (mode, draw.randbytes(20)) for name, (mode, _) in old.items()}
    assert listing(old).replaced(listing(new)) is None
    assert len(compare(listing(new), listing(old))[0]) == len(old)
    one = old | {b"00777": ("100644", b"x" * 20)}
    monkeypatch.setattr(treediff, "raw_entries", None)  # nothing is read but what differs
    before = listing(old)
    before._starts = range(0, 50_001 * 33, 33)
    assert before.replaced(listing(one)) == [(b"100644", b"00777", b"x" * 20, old[b"00777"][1])]
