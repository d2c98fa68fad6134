"""The file ``purged.json`` at the top of a store's tree: what was purged, told by which commits had it first.

It names no job and holds no value: a job stands there as a hash, with which only who knows its id can ask for it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from gitstate.errors import CorruptionError, UnsupportedFormatError
from gitstate.values import canonical
from gitstate.values.canonical import Shape, Value

__all__ = ["PURGED_FILE", "Purge", "Purged"]

PURGED_FILE = "purged.json"
"""Its path in a root tree."""

_FORMAT = 1
_ENTRY = Shape(fields=("commits", "jobs", "values"))
_SHAPE = Shape(fields=("format", "entries"), inner={"entries": Shape(each=_ENTRY)})
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Purge:
    """One purge: the oldest commits that it rewrote, by their ids before it; the hashes of the jobs that went, and
    whether anything was erased from what stayed.

    Whatever has one of the commits in its history has all that was purged.
    """

    commits: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    values: bool = False

    @classmethod
    def of(cls, commits: Collection[str], jobs: Iterable[str], *, values: bool) -> Self:
        """Return the purge of some jobs, and perhaps of values."""
        ordered = tuple(sorted(commits))
        return cls(ordered, tuple(sorted(_hashed(ordered, job) for job in jobs)), values)

    def has(self, job: str) -> bool:
        """Whether a job was purged."""
        return _hashed(self.commits, job) in self.jobs


@dataclass(frozen=True)
class Purged:
    """The content of ``purged.json``; ``unknown`` keeps the keys that this release does not know."""

    entries: tuple[Purge, ...] = ()
    unknown: Mapping[str, Value] = field(default_factory=dict, hash=False)

    @property
    def commits(self) -> frozenset[str]:
        """The commits that no history of the store has any more."""
        return frozenset(commit for entry in self.entries for commit in entry.commits)

    def has(self, job: str) -> bool:
        """Whether a job was purged at some time; it may have been made anew since."""
        return any(entry.has(job) for entry in self.entries)

    def united(self, *others: "Purged") -> "Purged":
        """Return what this one or others say: a purge is never taken back, so that is also how two are merged."""
        entries = {entry for each in (self, *others) for entry in each.entries}
        unknown = {key: value for each in (*others, self) for key, value in each.unknown.items()}
        ordered = sorted(entries, key=lambda entry: (entry.commits, entry.jobs, entry.values))
        return Purged(tuple(ordered), unknown)

    def to_bytes(self) -> bytes:
        """Return the content of the file. Equal purges give equal bytes, in whatever order they were made."""
        entries = [
            {"commits": list(each.commits), "jobs": list(each.jobs), "values": each.values}
            for each in self.united().entries
        ]
        value: dict[str, Any] = {**self.unknown, "format": _FORMAT, "entries": entries}
        return canonical.dumps(value, _SHAPE)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the content of the file.

        Raises:
            CorruptionError: It says nothing that can be understood.
            UnsupportedFormatError: It is newer than this release.
        """
        try:
            value = canonical.loads(data)
        except CorruptionError as error:
            raise CorruptionError(f"{PURGED_FILE}: {error.message}") from error
        if not isinstance(value, dict) or not isinstance(value.get("entries"), list):
            raise CorruptionError(f"{PURGED_FILE} does not list what was purged")
        number = value.pop("format", _FORMAT)
        if number != _FORMAT or isinstance(number, bool):
            raise UnsupportedFormatError(
                f"{PURGED_FILE} has format {number!r}, and this release knows format {_FORMAT}", hint="upgrade gitstate"
            )
        entries = value.pop("entries")
        return cls(tuple(map(_entry, entries)), value)  # type: ignore[arg-type]  # a list, as was asked


def _entry(value: Any) -> Purge:
    if isinstance(value, dict):
        commits, jobs, values = value.get("commits"), value.get("jobs", []), value.get("values", False)
        if _are_digits(commits, 40) and commits and _are_digits(jobs, 64) and isinstance(values, bool):
            return Purge(tuple(commits), tuple(jobs), values)
    raise CorruptionError(f"an entry of {PURGED_FILE} is none")


def _are_digits(found: Any, length: int) -> bool:
    return isinstance(found, list) and all(
        isinstance(each, str) and len(each) == length and _DIGITS.issuperset(each) for each in found
    )


def _hashed(commits: Iterable[str], job: str) -> str:
    """Return the hash of an id, which is another one in each purge."""
    salt = " ".join(sorted(commits))
    return sha256(f"{salt}\0".encode() + job.encode("utf-8", "surrogatepass")).hexdigest()
