"""The graph of a job and its forks: a lane for each job, beside its checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.forks import Fork

__all__ = ["Row", "graph", "jobs_of"]


@dataclass(frozen=True)
class Row:
    """A line of the graph: its lanes, and the checkpoint beside them; None where lanes only meet."""

    lanes: str
    job_id: str = ""
    checkpoint: Checkpoint | None = None


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
    start: str | None  # the revision that made it a fork
    checkpoints: list[Checkpoint] = field(default_factory=list)
    is_open: bool = False


def jobs_of(tree: Fork) -> Iterator[Fork]:
    """Yield all jobs of a tree of forks, its root first."""
    yield tree
    for below in tree.forks:
        yield from jobs_of(below)


def graph(jobs: Sequence[Fork], histories: Sequence[Sequence[Checkpoint]], *, lines: bool = True) -> Iterator[Row]:
    """Yield the rows of the graph, the newest checkpoint first.

    Args:
        jobs: Those of a tree of forks, its root first.
        histories: The checkpoints of each, newest first.
        lines: Whether the terminal can draw lines.
    """
    lanes = [
        _Lane(job.job_id, job.origin, job.revision, list(found)) for job, found in zip(jobs, histories, strict=True)
    ]
    signs = _LINES if lines else _ASCII
    while True:
        waiting = [lane for lane in lanes if lane.checkpoints]
        if not waiting:
            return
        # The newest first; of equals the fork, whose first checkpoint follows one of its origin.
        lane = max(waiting, key=lambda each: (each.checkpoints[0].time, lanes.index(each)))
        found = lane.checkpoints.pop(0)
        marks = [signs.dot if each is lane else signs.bar if each.is_open else " " for each in lanes]
        yield Row(" ".join(marks).rstrip(), lane.job_id, found)
        lane.is_open = bool(lane.checkpoints)
        origin = next((each for each in lanes if each.job_id == lane.origin), None)
        if found.revision == lane.start and origin is not None and origin.checkpoints:
            origin.is_open = True
            yield Row(_meeting(lanes, lanes.index(origin), lanes.index(lane), signs))


def _meeting(lanes: Sequence[_Lane], origin: int, fork: int, signs: _Signs) -> str:
    """Return the line on which the lane of a fork meets that of its origin, somewhere to its left."""
    text = ""
    for number, lane in enumerate(lanes):
        if number == fork:
            mark = signs.corner
        elif number == origin:
            mark = signs.tee
        elif lane.is_open:
            mark = signs.cross if origin < number < fork else signs.bar
        else:
            mark = signs.across if origin < number < fork else " "
        text += mark + (signs.across if origin <= number < fork else " ")
    return text.rstrip()
