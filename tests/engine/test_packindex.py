"""What indexes of packs name, however many objects that are."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import packindex, packs
from gitstate.engine.objects import GitObject

_NUMBERS = st.sets(st.integers(0, 300), min_size=1)


def written(folder: Path, numbers: set[int]) -> tuple[str, frozenset[bytes]]:
    """Write the index of a pack, and return its path and what it names."""
    items = [GitObject("blob", b"%d" % number) for number in sorted(numbers)]
    path = folder / hashlib.sha1(repr(sorted(numbers)).encode()).hexdigest()
    path.write_bytes(packs.build(items).index)
    return str(path), frozenset(bytes.fromhex(item.id) for item in items)


@given(_NUMBERS, _NUMBERS)
def test_what_an_index_names_and_covers(
    tmp_path_factory: pytest.TempPathFactory, some: set[int], others: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("indexes")
    (one, ids), (two, more) = written(folder, some), written(folder, others)
    both, _ = written(folder, some | others)
    assert packindex.ids(one) == ids
    assert packindex.among(one, more) == ids & more
    assert packindex.covers(one, two) == (ids >= more)
    assert packindex.covers(both, one)


def test_an_index_that_is_damaged_is_none(tmp_path: Path) -> None:
    path, _ = written(tmp_path, {1, 2, 3})
    good = Path(path).read_bytes()
    unordered = bytearray(good)
    unordered[8:12] = b"\xff" * 4
    for number, bad in enumerate((b"", good[:500], good[:-50], b"x" + good[1:], bytes(unordered))):
        damaged = tmp_path / f"bad-{number}"
        damaged.write_bytes(bad)
        for ask in (lambda path: packindex.ids(path), lambda path: packindex.covers(path, path)):
            with pytest.raises(ValueError, match="this "):
                ask(str(damaged))
