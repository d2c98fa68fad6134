"""The graph of a job and its forks: a lane for each job, beside its checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.forks import Fork

__all__ = ["Row", "graph", "jobs_of"]


@dataclass(frozen=True)
class Row:
    """A line of the graph: its lanes, and the checkpoint beside them; None where lanes only meet.

    ``parent`` is the checkpoint that it follows: the one before it in its job, or the one that its fork began as.
    """

    lanes: str
    job_id: str = ""
    checkpoint: Checkpoint | None = None
    parent: str | None = None


class _Signs(NamedTuple):
    dot: str
    bar: str
    across: str
    corner: str
    tee: str
    cross: str


_LINES = _Signs("●", "│", "─", "╯", "├", "┼")
_ASCII = _Signs("*", "|", "_", "/", "|", "|")


@dataclass
class _Lane:
    job_id: str
    origin: str | None
    at: str | None  # the checkpoint of the origin at which it begins
    start: str | None  # its first own one
    checkpoints: list[Checkpoint] = field(default_factory=list)  # still to be shown
    has_begun: bool = False
    joins: bool = False  # it has begun, and goes on to where its origin was then

    @property
    def is_open(self) -> bool:
        return self.joins or bool(self.checkpoints)


def jobs_of(tree: Fork) -> Iterator[Fork]:
    """Yield all jobs of a tree of forks, its root first."""
    yield tree
    for below in tree.forks:
        yield from jobs_of(below)


def graph(jobs: Sequence[Fork], histories: Sequence[Sequence[Checkpoint]], *, lines: bool = True) -> Iterator[Row]:
    """Yield the rows of the graph, the newest checkpoint first; a lane meets that of its origin where it begins.

    Args:
        jobs: Those of a tree of forks, its root first.
        histories: The checkpoints of each, newest first.
        lines: Whether the terminal can draw lines.
    """
    pairs = zip(jobs, histories, strict=True)
    lanes = [_Lane(job.job_id, job.origin, job.at, job.revision, list(found)) for job, found in pairs]
    signs = _LINES if lines else _ASCII
    shown: set[str] = set()  # jobs

    def open_lanes() -> set[str]:
        return {each.job_id for each in lanes if each.is_open and each.job_id in shown}

    while lane := _next(lanes):
        found = lane.checkpoints[0]
        for fork in lanes:
            if fork.joins and fork.origin == lane.job_id and fork.at == found.revision:
                yield Row(_meeting(lanes, lanes.index(lane), lanes.index(fork), open_lanes(), signs))
                fork.joins = False
        lane.checkpoints.pop(0)
        shown.add(lane.job_id)
        marks = open_lanes()
        drawn = [signs.dot if each is lane else signs.bar if each.job_id in marks else " " for each in lanes]
        older = lane.checkpoints[0].revision if lane.checkpoints else None
        parent = lane.at if found.revision == lane.start else older
        yield Row(" ".join(drawn).rstrip(), lane.job_id, found, parent)
        if found.revision == lane.start:
            lane.has_begun = True
            lane.joins = any(
                each.job_id == lane.origin and any(older.revision == lane.at for older in each.checkpoints)
                for each in lanes
            )


def _next(lanes: Sequence[_Lane]) -> _Lane | None:
    """Return the lane whose checkpoint is shown next: the newest, but none before what was forked from it."""
    waiting = [lane for lane in lanes if lane.checkpoints]
    origins = {(lane.origin, lane.at) for lane in waiting if not lane.has_begun}
    free = [lane for lane in waiting if (lane.job_id, lane.checkpoints[0].revision) not in origins]
    return max(free or waiting, key=lambda lane: lane.checkpoints[0].time, default=None)


def _meeting(lanes: Sequence[_Lane], origin: int, fork: int, marks: set[str], signs: _Signs) -> str:
    """Return the line on which the lane of a fork meets that of its origin, somewhere to its left."""
    text = ""
    for number, lane in enumerate(lanes):
        if number == fork:
            mark = signs.corner
        elif number == origin:
            mark = signs.tee
        elif lane.job_id in marks:
            mark = signs.cross if origin < number < fork else signs.bar
        else:
            mark = signs.across if origin < number < fork else " "
        text += mark + (signs.across if origin <= number < fork else " ")
    return text.rstrip()
