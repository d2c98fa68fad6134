"""What changed in a job, as data for a reviewer: who, when and why; which sheets moved; errors; everything else.

A :class:`JobDiff` is made of what differs, and no more is read; a :class:`JobComparison` puts all sheets of two jobs,
or of two checkpoints of one, side by side. How that looks is up to the writers of the command line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gitstate.backends.rules import JOB_IDENTITIES
from gitstate.backends.sides import JobSide, Sides
from gitstate.store.changes import changed_parts
from gitstate.values.diff import Change, diff
from gitstate.values.joins import number
from gitstate.values.pointer import index, is_meant, parse
from gitstate.values.shape import ABSENT, Slot, Value

__all__ = [
    "VOLATILE",
    "JobComparison",
    "JobDiff",
    "JobError",
    "Outcome",
    "SheetDiff",
    "compare",
    "review",
]

VOLATILE = tuple(map(parse, ("/updated_at", "/pid", "/host", "/sheets/*/updated_at")))
"""The places that change with nearly every save and say nothing of the work."""

_AMOUNT = 1e15  # no sheet takes so many seconds, or costs so much
_COSTS = ("cost", "cost_usd", "total_cost", "total_cost_usd")  # what models call it, in the sheet or its metadata


@dataclass(frozen=True)
class Outcome:
    """What became of a sheet: attempts, seconds that the last one took, and cost in whatever unit the job counts it."""

    status: str | None
    attempts: int
    seconds: float | None
    cost: float | None
    error: str | None

    @classmethod
    def of(cls, sheet: Slot) -> "Outcome | None":
        """Return the outcome of a sheet's value; None if it is none. A field of a wrong type counts as missing."""
        if not isinstance(sheet, dict):
            return None
        metadata = sheet.get("metadata")
        homes = (sheet, metadata if isinstance(metadata, dict) else {})
        costs = (_amount(home.get(name)) for home in homes for name in _COSTS)
        attempts = sheet.get("attempt_count")
        return cls(
            status=_text(sheet.get("status")),
            attempts=attempts if type(attempts) is int else 0,
            seconds=_amount(sheet.get("execution_duration_seconds")),
            cost=next((cost for cost in costs if cost is not None), None),
            error=_text(sheet.get("error_message")),
        )


@dataclass(frozen=True)
class SheetDiff:
    """A sheet on both sides of a diff; None where it is not there. ``changes`` are those inside of it."""

    sheet: str
    before: Outcome | None
    after: Outcome | None
    changes: tuple[Change, ...] = ()

    @property
    def moved(self) -> bool:
        """Whether its status or attempt changed, or it came or went."""
        return _run(self.before) != _run(self.after)


@dataclass(frozen=True)
class JobError:
    """An error that is there after and was not before; ``sheet`` is None for the job's own."""

    sheet: str | None
    text: str


@dataclass(frozen=True)
class JobDiff:
    """What changed between two checkpoints of a job, or of two jobs.

    ``fields`` are the changes outside of sheets, ``sheets`` the sheets that differ, by number. Both leave out the
    ``hidden`` changes of volatile fields, unless these were asked for. ``changes`` are all: they lead from one value to
    the other.
    """

    before: JobSide
    after: JobSide
    fields: tuple[Change, ...]
    sheets: tuple[SheetDiff, ...]
    errors: tuple[JobError, ...]
    changes: tuple[Change, ...]
    hidden: int = 0

    @property
    def differs(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.fields or self.sheets)

    @classmethod
    def of(cls, sides: "tuple[JobSide, JobSide]", before: Slot, after: Slot, *, volatile: bool = False) -> "JobDiff":
        """Return what a reviewer is told of two values; entries of sheets that are equal may be left out of both.

        Args:
            sides: Where the values come from.
            before: A job's value, or ABSENT.
            after: Another one.
            volatile: Whether the changes of volatile fields are shown as well.
        """
        was, now = _parted(before), _parted(after)
        fields = diff(was[0], now[0], JOB_IDENTITIES)
        sheets = [_sheet_diff(key, was[1], now[1]) for key in _in_order({*was[1], *now[1]})]
        total = len(fields) + sum(len(sheet.changes) for sheet in sheets)
        if not volatile:
            fields = _lasting(fields)
            sheets = [replace(sheet, changes=_lasting(sheet.changes)) for sheet in sheets]
        sheets = [sheet for sheet in sheets if sheet.changes]
        shown = len(fields) + sum(len(sheet.changes) for sheet in sheets)
        return cls(
            *sides,
            fields=fields,
            sheets=tuple(sheets),
            errors=tuple(_new_errors(was[0], now[0], sheets)),
            changes=diff(before, after, JOB_IDENTITIES),
            hidden=total - shown,
        )


@dataclass(frozen=True)
class JobComparison:
    """Two jobs, or two checkpoints of one, side by side: a row for each sheet of either, without its changes."""

    before: JobSide
    after: JobSide
    sheets: tuple[SheetDiff, ...]

    @property
    def differs(self) -> bool:
        """Whether the outcome of a sheet does."""
        return any(sheet.before != sheet.after for sheet in self.sheets)


def review(sides: Sides, *, volatile: bool) -> JobDiff:
    """Return what changed between two sides; only the files that differ are read.

    Raises:
        StateCorruptionError: A file that differs cannot be read; the message names it.
    """
    before, after = sides
    return JobDiff.of((before.told, after.told), *changed_parts(before.snapshot, after.snapshot), volatile=volatile)


def compare(sides: Sides) -> JobComparison:
    """Return two sides sheet by sheet.

    Raises:
        StateCorruptionError: A state cannot be read.
    """
    before, after = sides
    was, now = (_parted(ABSENT if side.snapshot is None else side.snapshot.value())[1] for side in sides)
    rows = [
        SheetDiff(key, Outcome.of(was.get(key, ABSENT)), Outcome.of(now.get(key, ABSENT)))
        for key in _in_order({*was, *now})
    ]
    return JobComparison(before.told, after.told, tuple(rows))


def _parted(value: Slot) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return the fields of a job and its sheets, if these are an object; nothing of what is absent."""
    fields = dict(value) if isinstance(value, dict) else {}
    sheets = fields.get("sheets")
    if not isinstance(sheets, dict):
        return fields, {}
    del fields["sheets"]
    return fields, sheets


def _sheet_diff(key: str, before: dict[str, Value], after: dict[str, Value]) -> SheetDiff:
    was, now = before.get(key, ABSENT), after.get(key, ABSENT)
    found = diff(_placed(key, was), _placed(key, now), JOB_IDENTITIES)
    return SheetDiff(key, Outcome.of(was), Outcome.of(now), found)


def _placed(key: str, sheet: Slot) -> Slot:
    """Return a job that has nothing but one sheet, so that its places are those of the job."""
    return {"sheets": {} if sheet is ABSENT else {key: sheet}}


def _new_errors(before: dict[str, Value], after: dict[str, Value], sheets: list[SheetDiff]) -> Iterator[JobError]:
    own = _text(after.get("error_message"))
    if own is not None and own != before.get("error_message"):
        yield JobError(None, own)
    for sheet in sheets:
        was, now = sheet.before, sheet.after
        # An attempt that fails as the one before it did is a new error too.
        if now is not None and now.error and (was is None or (was.error, was.attempts) != (now.error, now.attempts)):
            yield JobError(sheet.sheet, now.error)


def _lasting(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(change for change in changes if not any(is_meant(pattern, change.parts) for pattern in VOLATILE))


def _in_order(keys: Iterable[str]) -> list[str]:
    """Return the keys of sheets, numbers first."""
    return sorted(keys, key=lambda key: (index(key) is None, index(key) or 0, key))


def _run(outcome: Outcome | None) -> tuple[str | None, int] | None:
    return None if outcome is None else (outcome.status, outcome.attempts)


def _amount(value: Slot) -> float | None:
    """Return a number that a person can read."""
    found = number(value)
    return found if found is not None and abs(found) < _AMOUNT else None


def _text(value: Slot) -> str | None:
    return value if isinstance(value, str) else None
