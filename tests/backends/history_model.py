"""What a store of jobs must tell of its past: a list of all that was ever written, and plain loops over it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from gitstate import SheetStatus
from gitstate.backends.models import SheetState

__all__ = [
    "ABSENT",
    "EXPRESSIONS",
    "FOLLOWING",
    "Entry",
    "Log",
    "at_place",
    "both_ran",
    "is_busy",
    "next_of",
    "one_sided",
    "progress_of",
    "put_at",
    "records",
    "reopened",
    "runs",
    "same",
]

Json: TypeAlias = dict[str, Any]

ABSENT: Any = object()
OPERATIONS = ("rolled-back", "restored", "undone", "forked", "deleted")

FOLLOWING = frozenset(
    {
        "last_completed_sheet",
        "current_sheet",
        "status",
        "completed_at",
        "started_at",
        "error_message",
        "pid",
        "host",
        "total_retry_count",
        "updated_at",
    }
)
"""The fields of a job that may follow when its sheets are brought back."""

EXPRESSIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "status == 'completed'": lambda job: bool(job["status"] == "completed"),
    "sheets.*.status == 'failed'": lambda job: any(sheet.get("status") == "failed" for sheet in job["sheets"].values()),
    "sheets.2.attempt_count > 1": lambda job: job["sheets"].get("2", {}).get("attempt_count", 0) > 1,
    "not metadata.a and count(sheets) >= 2": lambda job: not job["metadata"].get("a") and len(job["sheets"]) >= 2,
    "total_retry_count > 0 or metadata contains 'b'": lambda job: (
        job["total_retry_count"] > 0 or "b" in job["metadata"]
    ),
    "last_completed_sheet == total_sheets": lambda job: bool(job["last_completed_sheet"] == job["total_sheets"]),
}
"""Expressions, and what each asks of a plain value."""


@dataclass(frozen=True)
class Entry:
    """A commit, by its number in the whole store, and what it made of its job; None: it deleted it.

    ``plain`` is the stored value, ``state`` the model's dump of it. ``began`` is, of one that brought a deleted job
    back, the number of the commit as which it did.
    """

    number: int
    job: str
    revision: str
    event: str
    time: datetime
    plain: Json | None
    state: Json | None
    began: int | None = None
    execution: int | None = None
    origin: tuple[str, str] | None = None  # of a fork


@dataclass
class Log:
    """All commits, the oldest first; ``first`` made the store."""

    first: str
    entries: list[Entry] = field(default_factory=list)
    pins: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def add(self, job: str, revision: str, event: str, time: datetime, plain: Json | None, **more: Any) -> Entry:
        time = time.replace(microsecond=0)
        self.entries.append(Entry(len(self.entries) + 1, job, revision, event, time, plain, **more))
        return self.entries[-1]

    @property
    def head(self) -> str:
        return self.entries[-1].revision if self.entries else self.first

    def of(self, job: str, number: int | None = None) -> list[Entry]:
        """Return the commits of a job up to a number, the oldest first."""
        return [each for each in self.entries if each.job == job and (number is None or each.number <= number)]

    def standing(self, job: str, number: int | None = None) -> Entry | None:
        """Return the commit of a job at which it stood at that number, None before its first."""
        return (self.of(job, number) or [None])[-1]  # type: ignore[list-item]

    def states(self, job: str, number: int | None = None) -> list[Entry]:
        """Return what ``~N`` counts, the newest first."""
        return [each for each in self.of(job, number) if each.event != "execution"][::-1]

    def plain(self, job: str, number: int | None = None) -> Json | None:
        entry = self.standing(job, number)
        return None if entry is None else entry.plain

    def state(self, job: str, number: int | None = None) -> Json | None:
        entry = self.standing(job, number)
        return None if entry is None else entry.state

    def before(self, entry: Entry) -> Entry | None:
        return self.standing(entry.job, entry.number - 1)

    def last_operation(self, job: str | None) -> Entry | None:
        """Return the last thing that a person did to a job, or to any."""
        found = (each for each in self.entries[::-1] if job in (None, each.job) and each.event in OPERATIONS)
        return next(found, None)

    def names(self, job: str) -> Iterator[tuple[str, int]]:
        """Yield names of revisions as one may give them for a job, and the number of the commit that each means."""
        own, ids = self.of(job), [self.first, *(each.revision for each in self.entries)]
        yield from ((f"~{back}", each.number) for back, each in enumerate(self.states(job)))
        for each in own[::-1]:
            yield each.revision, each.number
            yield _prefix(each.revision, ids), each.number
            yield from self._timed(job, each.time + timedelta(seconds=0.5))
        for name, pinned in self.pins.get(job, {}).items():
            yield name, pinned.number
            for back, each in enumerate(self.states(job, pinned.number)):
                yield f"{name}~{back}", each.number
        gone = [each for each in own if each.plain is None]
        if gone:
            yield "@deleted", gone[-1].number - 1
            for back, each in enumerate(self.states(job, gone[-1].number - 1)[:2]):
                yield f"@deleted~{back}", each.number
        mine = {each.revision for each in own}
        yield from ((revision.upper(), number) for number, revision in enumerate(ids) if revision not in mine)

    def _timed(self, job: str, time: datetime) -> Iterator[tuple[str, int]]:
        found = next((each for each in self.of(job)[::-1] if each.time <= time), None)
        if found is not None:
            yield time.isoformat(), found.number
            yield f"{time:%Y-%m-%d %H:%M:%S.%f}~0", self.states(job, found.number)[0].number

    def blame(self, job: str, place: str, number: int) -> list[tuple[str, Any]]:
        """Return the commits that set what stands at a place, and what they set, the newest first."""
        found: list[tuple[str, Any]] = []
        before = ABSENT
        for entry in self.of(job, number):
            here = at_place(entry.plain, place)
            if not same(here, before):
                found.append((entry.revision, here))
            before = here
        return found[::-1]

    def first_with(
        self, job: str, holds: Callable[[Mapping[str, Any]], bool], number: int
    ) -> tuple[str | None, str | None, int]:
        """Return the first commit at which something holds, the last one before it, and how many were looked at."""
        there = [each for each in self.of(job, number) if each.plain is not None]
        index = next((index for index, each in enumerate(there) if holds(each.plain or {})), None)
        end = len(there) if index is None else index
        before = there[end - 1].revision if end else None
        return (None, before, end) if index is None else (there[index].revision, before, end + 1)

    def executions(self, job: str, number: int | None = None) -> list[int]:
        """Return the ids of the executions in the present life of a job, newest first; to be brought back goes on."""
        found: list[int] = []
        entries, birth = self.of(job, number), None
        if not entries or entries[-1].plain is None:
            return []
        for entry in entries[::-1]:
            if entry.plain is None:
                break
            birth = entry
            found += [entry.execution] if entry.execution is not None else []
        went_on = birth is not None and birth.began is not None
        return found + (self.executions(job, birth.began) if went_on and birth is not None else [])

    def deleted(self) -> list[Entry]:
        """Return the commits that deleted jobs that are not there again, the newest first."""
        jobs = {each.job for each in self.entries}
        last = [self.of(job)[-1] for job in jobs]
        return sorted((each for each in last if each.plain is None), key=lambda each: -each.number)

    def forks(self) -> dict[str, Entry]:
        """Return the commit that forked each job last, unless the job was made anew by a save since."""
        found: dict[str, Entry] = {}
        for each in self.entries:
            if each.origin is not None:
                found[each.job] = each
            elif each.event == "created":
                found.pop(each.job, None)
        return found


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same in JSON: 1 is neither 1.0 nor true."""
    if left is ABSENT or right is ABSENT:
        return left is right
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def at_place(value: Any, place: str) -> Any:
    """Return what stands at a place that is a JSON pointer without escapes."""
    if value is None:
        return ABSENT
    for key in place.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else ABSENT
        else:
            value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def put_at(value: Any, place: str, item: Any) -> Any:
    """Return a value with something else at a place; what holds the place is there."""
    first, _, rest = place[1:].partition("/")
    kept = {key: each for key, each in value.items() if key != first}
    if rest:
        return kept | {first: put_at(value[first], f"/{rest}", item)}
    return kept if item is ABSENT else kept | {first: item}


def records(job: Json, sheet: Callable[[int], Json]) -> Json:
    """Return the records of the sheets; without any, all up to the last completed one are completed."""
    return job["sheets"] or {str(number): sheet(number) for number in range(1, job["last_completed_sheet"] + 1)}


def runs(job: Json) -> Json:
    """Return status and attempts of the sheets."""
    found = records(job, lambda number: {"status": "completed"})
    return {key: (sheet.get("status"), sheet.get("attempt_count", 0)) for key, sheet in found.items()}


def progress_of(job: Json) -> tuple[int, int]:
    """Return how many sheets are done, and how many there are."""
    done = sum(status in ("completed", "skipped") for status, _ in runs(job).values())
    return done, job["total_sheets"]


def next_of(job: Json | None) -> int | None:
    """Return the sheet that comes next."""
    if job is None:
        return 1
    if job["status"] in ("completed", "cancelled"):
        return None
    statuses = {int(key): status for key, (status, _) in runs(job).items()}
    for number in range(1, job["total_sheets"] + 1):
        if statuses.get(number) == "in_progress":
            return number
    for number in range(1, job["total_sheets"] + 1):
        if statuses.get(number) not in ("completed", "skipped", "cancelled"):
            return number
    return None


def is_busy(job: Json | None) -> bool:
    """Whether a job runs in this process, which lives."""
    return job is not None and job["status"] == "running" and job.get("pid") == os.getpid()


def reopened(sheet: Json) -> Json:
    """Return a sheet as never begun; what a user keeps in it stays."""
    fresh = SheetState(sheet_num=sheet["sheet_num"], status=SheetStatus.PENDING).model_dump(mode="json")
    return fresh | {"metadata": sheet["metadata"]}


def one_sided(base: Json, ours: Json, theirs: Json, merged: Json) -> None:
    """Check what every merge must do: where one side did not move, the other one's value stands."""
    fields = ["job_name", "config_hash", "total_sheets", "total_retry_count"]
    places = {f"/{name}" for name in fields}
    places |= {f"/{top}/{key}" for side in (base, ours, theirs) for top in ("sheets", "metadata") for key in side[top]}
    for place in sorted(places):
        was, here, there, now = (at_place(side, place) for side in (base, ours, theirs, merged))
        if same(was, there):
            assert same(now, here), place
        elif same(was, here):
            assert same(now, there), place


def both_ran(base: Json, ours: Json, theirs: Json) -> bool:
    """Whether both sides moved the run of a sheet that both still have, and not to the same one."""
    was, here, there = map(runs, (base, ours, theirs))
    return any(
        was.get(key) not in (here[key], there[key]) and here[key] != there[key] for key in here.keys() & there.keys()
    )


def _prefix(revision: str, ids: list[str]) -> str:
    """Return the first digits of an id that no other one has."""
    lengths = (n for n in range(4, 41) if sum(other.startswith(revision[:n]) for other in ids) == 1)
    return revision[: next(lengths)]
