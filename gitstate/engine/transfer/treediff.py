"""Compares trees as bytes, one that nobody trusts with those that it came from.

Most trees differ from the one before by the id of one entry. Then everything but that id was looked at before, and the
rest of the bytes needs no reading: a folder of a thousand files costs little more than one of ten.
"""

from collections.abc import Sequence

from gitstate.engine.objects import RawEntry, raw_entries

__all__ = ["DIRECTORY", "Entry", "Listing", "compare"]

DIRECTORY = b"40000"
_ID = 20  # bytes of an id
_FEW = 16  # differences: for more it is quicker to read both trees

Entry = tuple[bytes, bytes, bytes, bytes | None]
"""Mode, name and id of an entry, and the id that had this mode and name before."""


class Listing:
    """The body of a tree, and where its entries begin, once somebody asked; trees of one shape share that.

    ``problem`` says why there is no body.
    """

    __slots__ = ("_ids", "_starts", "body", "problem")

    def __init__(self, body: bytes, problem: str = "") -> None:
        self.body = body
        self.problem = problem
        self._starts: Sequence[int] | None = None
        self._ids: dict[tuple[bytes, bytes], bytes] | None = None

    @property
    def starts(self) -> Sequence[int]:
        """Where each entry begins, and where the last one ends."""
        if self._starts is None:
            starts, place = [0], 0
            for mode, name, _ in raw_entries(self.body):
                place += len(mode) + len(name) + _ID + 2
                starts.append(place)
            self._starts = starts
        return self._starts

    @property
    def is_tree(self) -> bool:
        """Whether its bytes are there, and are entries and nothing else."""
        return (self._starts or self.starts)[-1] == len(self.body) and not self.problem

    def get(self, mode: bytes, name: bytes) -> bytes | None:
        """Return the id of the entry with a mode and a name, or None."""
        if self._ids is None:
            if b"%s %s\0" % (mode, name) not in self.body:
                return None
            self._ids = {(m, n): i for m, n, i in raw_entries(self.body)}
        return self._ids.get((mode, name))

    def replaced(self, new: "Listing") -> list[Entry] | None:
        """Return the entries of a new tree that differ, if it has the modes and names of this one, else None.

        Both are trees, this one is sound, and they are not alike.
        """
        body, base, starts = new.body, self.body, self.starts
        count, number = len(starts) - 1, 0
        if len(body) != len(base):
            return None
        changed: list[Entry] = []
        while len(changed) < _FEW:
            low, high = number, count  # what is before `low` is alike, what is before `high` is not
            start = starts[low]
            while high - low > 1:
                middle = low + high >> 1
                end = starts[middle]
                if body[start:end] == base[start:end]:
                    low, start = middle, end
                else:
                    high = middle
            end = starts[low + 1]
            cut = end - _ID
            if body[start:cut] != base[start:cut]:
                return None
            mode, _, name = body[start : cut - 1].partition(b" ")
            changed.append((mode, name, body[cut:end], base[cut:end]))
            number = low + 1
            if number == count or body[end:] == base[end:]:
                new._starts = starts
                return changed
        return None


def compare(new: Listing, before: Listing | None) -> tuple[list[Entry], list[str]]:
    """Compare a tree with a sound one that it came from.

    Returns:
        The entries that the sound one has not, all where there is none; and what is wrong with how it is made.
    """
    entries = raw_entries(new.body)
    faults = _faults(new, entries)
    if before is None:
        return [(mode, name, object_id, None) for mode, name, object_id in entries], faults
    old = {(mode, name): object_id for mode, name, object_id in raw_entries(before.body)}
    changed = [(*each, old.get(each[:2])) for each in entries if old.get(each[:2]) != each[2]]
    return changed, faults


def _faults(tree: Listing, entries: Sequence[RawEntry]) -> list[str]:
    faults = []
    if not tree.is_tree:
        faults.append("its bytes are no tree")
    keys = [name + b"/" if mode == DIRECTORY else name for mode, name, _ in entries]
    if keys != sorted(keys):
        faults.append("its entries are not in git's order")
    if len({name for _, name, _ in entries}) != len(entries):
        faults.append("a name is there twice")
    return faults
