"""The jobs of all machines, as far as what was fetched tells: nothing is merged, and nobody is asked."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gitstate import clock
from gitstate.backends import queries
from gitstate.backends.statuses import JobStatus
from gitstate.engine import graph
from gitstate.engine.objects import ObjectId
from gitstate.errors import StateCorruptionError
from gitstate.format.message import Message
from gitstate.store.documents import Collection
from gitstate.store.remote.autosync import SyncFailure
from gitstate.store.remote.lag import Lag, touched
from gitstate.store.selection import Selection
from gitstate.store.store import Store
from gitstate.values.joins import instant

__all__ = ["Fleet", "FleetJob", "JobStanding", "Seen", "fleet_of"]


@dataclass(frozen=True)
class JobStanding:
    """How a job here stands to the same job on a remote, as that was seen last.

    ``unpushed`` is how many saves the remote has not, ``unmerged`` how many of the remote's are not here. ``is_here``
    and ``is_there`` say whether the two sides have such a job.
    """

    remote: str
    unpushed: int
    unmerged: int
    is_here: bool
    is_there: bool

    @property
    def is_diverged(self) -> bool:
        """Whether both sides changed it: a sync merges that."""
        return bool(self.unpushed and self.unmerged)


@dataclass(frozen=True)
class FleetJob:
    """A job, as the newest state of it that is known here says.

    Args:
        job_id: Its id.
        name: Its name.
        status: Its status; None if it cannot be read, and ``error`` says why.
        done: How many sheets are completed or skipped.
        total: How many there are.
        failed: How many failed.
        host: The host that runs it, as the job says; empty where it does not.
        author: Who changed it last; empty where that takes a look at its history.
        saved: When it was saved last, as the job says.
        error: Its error.
        is_stale: Whether it says that it is running, and is silent.
        source: The remote that has this state; empty: it is here.
        standings: How it stands to each remote.
        rescues: How many states of it were put aside.
    """

    job_id: str
    name: str
    status: str | None
    done: int
    total: int
    failed: int
    host: str
    author: str
    saved: datetime | None
    error: str | None
    is_stale: bool = False
    source: str = ""
    standings: tuple[JobStanding, ...] = ()
    rescues: int = 0

    @property
    def unpushed(self) -> int:
        """How many saves the remote that lacks most has not."""
        return max((each.unpushed for each in self.standings), default=0)

    @property
    def unmerged(self) -> int:
        """How many saves are not here of the remote that has most of them."""
        return max((each.unmerged for each in self.standings), default=0)

    @property
    def is_diverged(self) -> bool:
        """Whether both sides changed it."""
        return any(each.is_diverged for each in self.standings)


@dataclass(frozen=True)
class Fleet:
    """The jobs of all machines, the one that was saved last first, and how far the remotes are apart from here.

    ``failures`` are the remotes that were to be fetched from and could not, with why.
    """

    remotes: tuple[Lag, ...]
    jobs: tuple[FleetJob, ...]
    failures: Mapping[str, SyncFailure] = field(default_factory=dict)


class Seen(NamedTuple):
    """A remote as it was seen last: its lag, and the commits that are on one side alone, parents before children."""

    lag: Lag
    ahead: Sequence[ObjectId]
    behind: Sequence[ObjectId]


def fleet_of(store: Store, jobs: Collection, remotes: Sequence[Seen], *, stale: timedelta) -> Fleet:
    """Return the jobs that are here and those that remotes had.

    Args:
        store: The store.
        jobs: Its jobs.
        remotes: The remotes, as they were seen last; of one that never was, no job is told.
        stale: How long a running job may be silent.

    Raises:
        CorruptionError: A commit or tree is missing or damaged.
    """
    known = [each for each in remotes if each.lag.tip is not None]
    found = _jobs_here(store, jobs)
    sides = [_Side(store, jobs, each) for each in known]
    for side in sides:
        for job_id in [each for each in side.differing if each in side.unmerged or each not in found]:
            theirs = side.job(job_id)
            if theirs is not None and _is_newer(theirs, found.get(job_id), side.unpushed.get(job_id)):
                found[job_id] = theirs
    here = {job_id for job_id, job in found.items() if not job.source} | {
        job_id for side in sides for job_id, (tree, _) in side.differing.items() if tree is not None
    }
    seen = {each.lag.remote: each.lag.seen for each in known}
    rows = [
        replace(
            job,
            standings=tuple(side.standing(job_id, is_here=job_id in here) for side in sides),
            is_stale=job.status == JobStatus.RUNNING and _is_silent(job, seen, stale),
        )
        for job_id, job in found.items()
    ]
    rows.sort(key=lambda job: (0.0 if job.saved is None else job.saved.timestamp(), job.job_id), reverse=True)
    return Fleet(tuple(each.lag for each in remotes), tuple(rows))


def _jobs_here(store: Store, jobs: Collection) -> dict[str, FleetJob]:
    rows, unreadable = store.select(jobs, Selection())
    authors = store.authors(jobs)
    found = {row.document: _job(row.document, row.facts, authors.get(row.document, "")) for row in rows}
    found |= {job_id: _unreadable(job_id, reason, authors.get(job_id, "")) for job_id, reason in unreadable}
    return found


def _job(job_id: str, facts: Mapping[str, Any], author: str, source: str = "") -> FleetJob:
    status, error = queries.standing(facts)
    return FleetJob(
        job_id=job_id,
        name=str(facts["name"] or ""),
        status=status,
        done=facts["done_sheets"],
        total=queries.count(facts["total_sheets"]),
        failed=facts["failed_sheets"],
        host=str(facts["host"] or ""),
        author=author,
        saved=instant(facts["updated_at"]),
        error=error,
        source=source,
    )


def _unreadable(job_id: str, reason: str, author: str, source: str = "") -> FleetJob:
    return FleetJob(job_id, "", None, 0, 0, 0, "", author, None, reason, source=source)


def _is_newer(theirs: FleetJob, ours: FleetJob | None, unpushed: int | None) -> bool:
    """Whether what a remote has of a job says more than what is here: if both sides moved, the later save counts."""
    if ours is None or not (unpushed or ours.source):
        return True
    return theirs.saved is not None and (ours.saved is None or theirs.saved > ours.saved)


def _is_silent(job: FleetJob, seen: dict[str, datetime | None], stale: timedelta) -> bool:
    """Whether nothing was heard of a job for long, by the time at which something of it could be known here."""
    known = clock.now()
    if job.source:
        known = seen[job.source] or known
    elif job.host not in ("", socket.gethostname()):  # what another machine does, only a remote can tell
        known = max((time for time in seen.values() if time is not None), default=known)
    return job.saved is not None and known - clock.aware(job.saved) >= stale


class _Side:
    """A remote's jobs beside those that are here."""

    def __init__(self, store: Store, jobs: Collection, seen: Seen) -> None:
        self._reader = reader = store.reader
        self._jobs = jobs
        self._remote = seen.lag.remote
        self._tip: ObjectId = seen.lag.tip or ""
        self._theirs = touched(reader, jobs, seen.behind)
        roots = [reader.root(commit_id) for commit_id in (store.head(), self._tip)]
        self.differing = {job_id: trees for job_id, *trees in reader.differing(jobs, *roots)}
        self.unpushed = {job_id: len(commits) for job_id, commits in touched(reader, jobs, seen.ahead).items()}
        self.unmerged = {job_id: len(commits) for job_id, commits in self._theirs.items()}
        for job_id in self.differing:  # what only a merge changed
            if job_id not in self.unpushed and job_id not in self.unmerged:
                (self.unpushed if seen.ahead else self.unmerged)[job_id] = 1

    def standing(self, job_id: str, *, is_here: bool) -> JobStanding:
        """Return how a job here stands to the same job there."""
        trees = self.differing.get(job_id)
        is_there = is_here if trees is None else trees[1] is not None
        return JobStanding(self._remote, self.unpushed.get(job_id, 0), self.unmerged.get(job_id, 0), is_here, is_there)

    def job(self, job_id: str) -> FleetJob | None:
        """Return a job that is another one there than here; None: there is none."""
        tree = self.differing.get(job_id, (None, None))[1]
        if tree is None or self._jobs.summarize is None:
            return None
        commits = self._theirs.get(job_id)
        last = None if commits is None else graph.read(self._reader.source, commits[-1])
        said = None if last is None else Message.parse(last.message)
        is_about_it = said is not None and said.all(self._jobs.trailer) == [job_id]
        author = "" if last is None else last.author.name
        snapshot = self._reader.snapshot_of(self._jobs, job_id, self._tip, tree)
        try:
            facts = self._jobs.summarize(snapshot, said if is_about_it else None).facts
        except StateCorruptionError as error:
            return _unreadable(job_id, error.reason, author, self._remote)
        return _job(job_id, facts, author, self._remote)
