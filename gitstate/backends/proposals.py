"""What is proposed, what it would change in the jobs of now, and whether that can be applied."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import NamedTuple

from gitstate.backends import relying
from gitstate.backends.invariants import new_contradictions
from gitstate.backends.restoring import repaired
from gitstate.backends.rewound import value_of
from gitstate.backends.statuses import runs_here
from gitstate.backends.subjects import message_for
from gitstate.engine import graph, trees
from gitstate.engine.base import Source
from gitstate.engine.gitindex import is_safe
from gitstate.engine.objects import FILE, ObjectId, TreeEntry
from gitstate.engine.staging import Staging
from gitstate.errors import CorruptionError, InvalidInputError
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.batch import Joined
from gitstate.store.documents import Collection, Revision, Snapshot
from gitstate.store.merging import MergedRoots, merge_roots
from gitstate.store.proposals import ProposalBranch, Proposals, Standing
from gitstate.store.reader import Reader
from gitstate.values.merge import ABSENT, Conflict, Slot

__all__ = ["JobPlan", "Plan", "Problem", "Proposal", "differs", "join", "plan", "proposal", "was_applied"]

_WHOLE = (Event.ROLLED_BACK, Event.RESTORED, Event.UNDONE, Event.DELETED)
"""What is done to a job as a whole: it relies on all of it."""


@dataclass(frozen=True)
class Proposal:
    """Changes that nobody applied yet, on a branch of their own.

    ``revision`` is the commit that they lead to, ``base`` the one at which they begin (None: it has nothing in common
    with the store's branch), ``ahead`` how many commits they are, ``behind`` how many the store's branch made since.
    ``author``, ``time`` and ``subject`` are those of the last commit, ``jobs`` the jobs that are another than at
    ``base``.
    """

    name: str
    branch: str
    revision: str
    base: str | None
    ahead: int
    behind: int
    author: str
    time: datetime
    subject: str
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a job, or with the whole (None), once a proposal is applied.

    ``is_fatal`` says that it cannot be forced: the job would be no state any more.
    """

    job_id: str | None
    text: str
    is_fatal: bool


class Sides(NamedTuple):
    """A job as a proposal found it, as it is now, as the proposal has it, and as it would be."""

    base: Snapshot | None
    now: Snapshot | None
    wanted: Snapshot | None
    merged: Snapshot | None


@dataclass(frozen=True)
class JobPlan:
    """What would become of a job: ``moved`` are the places that the proposal relied on and that are others now,
    ``runs`` says that a process of this host runs the job, and ``is_whole`` that it is changed as a whole.
    """

    job_id: str
    sides: Sides
    moved: tuple[Conflict, ...] = ()
    problems: tuple[Problem, ...] = ()
    runs: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class Plan:
    """What a proposal would do on a head. ``clashes`` are files of no job that both changed."""

    branch: ProposalBranch
    head: ObjectId
    standing: Standing
    subjects: tuple[str, ...] = ()
    jobs: tuple[JobPlan, ...] = ()
    files: tuple[str, ...] = ()
    clashes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    merged: trees.Edited = field(default=trees.Edited(trees.EMPTY, []), repr=False)
    is_contained: bool = False

    @property
    def has_moved(self) -> bool:
        """Whether something that it relied on is no longer so."""
        return bool(self.clashes) or any(job.moved for job in self.jobs)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """The problems of all jobs, and those of none."""
        return (*self.problems, *(problem for job in self.jobs for problem in job.problems))

    @property
    def busy(self) -> tuple[str, ...]:
        """The jobs that run here and would be changed as a whole."""
        return tuple(job.job_id for job in self.jobs if job.runs and job.is_whole)


def proposal(
    reader: Reader, jobs: Collection, proposals: Proposals, branch: ProposalBranch, head: ObjectId
) -> Proposal:
    """Return what is to be told of a proposal's branch. Raises CorruptionError: a commit is missing or damaged."""
    standing, last = proposals.standing(branch.tip, head), proposals.revision(branch.tip)
    base = standing.bases[0] if standing.bases else None
    changed: list[str] = []
    if base is not None and standing.ahead:
        roots = [graph.read(reader.source, commit).tree for commit in (base, branch.tip)]
        changed = [document for document, _, _ in reader.differing(jobs, *roots)]
    return Proposal(
        name=branch.name,
        branch=branch.ref,
        revision=branch.tip,
        base=base,
        ahead=len(standing.ahead),
        behind=len(standing.behind),
        author=last.author,
        time=last.time,
        subject=last.message.subject,
        jobs=tuple(sorted(changed)),
    )


def plan(reader: Reader, jobs: Collection, proposals: Proposals, branch: ProposalBranch, head: ObjectId) -> Plan:
    """Return what applying a proposal on a head would do; nothing is written.

    Raises:
        InvalidInputError: It has no history, or more than one point of it, in common with the head.
        CorruptionError: A commit or tree is missing or damaged.
    """
    standing = proposals.standing(branch.tip, head, reader)
    if not standing.ahead:
        return Plan(branch, head, standing, is_contained=True)
    _refuse_if_unrelated(branch, standing)
    commits = (standing.bases[0], head, branch.tip)
    base, now, wanted = (graph.read(reader.source, commit).tree for commit in commits)
    problems = [] if reader.format(base) == reader.format(wanted) else [_MOVES_ALL]
    merged = merge_roots(reader, [jobs], base, now, wanted)
    edited = _made_right(reader, jobs, merged, merged.edit(reader), (base, now, wanted))
    after = reader.over(Staging(reader.source, edited.objects))
    said = [Revision.of(commit, graph.read(reader.source, commit)).message for commit in standing.ahead]
    problems += [_odd(change.path) for change in trees.diff(after.source, now, edited.id) if _is_odd(change.after)]
    problems += map(_unsafe, dict.fromkeys(_unsafe_paths(reader.source, standing.ahead)))
    conflicts = {each.document: each.conflicts for each in merged.documents}
    planned: list[JobPlan] = []
    for document, _, _ in sorted(reader.differing(jobs, base, wanted)):
        sides = Sides(  # all of one source, so that they can be compared
            after.snapshot_in(jobs, document, commits[0], base),
            after.snapshot_in(jobs, document, commits[1], now),
            after.snapshot_in(jobs, document, commits[2], wanted),
            after.snapshot_in(jobs, document, branch.tip, edited.id),
        )
        whole = any(document in each.all(message.JOB) and each.get(message.EVENT) in _WHOLE for each in said)
        planned.append(_job(jobs, document, sides, conflicts.get(document, ()), whole=whole))
    moves = any(job.moved for job in planned) or bool(merged.clashes)
    return Plan(
        branch=branch,
        head=head,
        standing=standing,
        subjects=tuple(each.subject for each in said),
        jobs=tuple(planned),
        files=tuple(sorted(path for path in merged.files if path not in merged.clashes)),
        clashes=merged.clashes,
        problems=tuple(problems),
        merged=edited,
        is_contained=edited.id == now and not moves,
    )


_MOVES_ALL = Problem(
    None, "it moves all jobs, or changes the format of the store, which no proposal can", is_fatal=True
)


def _odd(path: str) -> Problem:
    return Problem(None, f"{path} becomes a link or a submodule, which no folder shows", is_fatal=False)


def _unsafe(path: str) -> Problem:
    return Problem(None, f"no file can have the name {path}, so that no clone could be checked out", is_fatal=True)


def _unsafe_paths(source: Source, commits: Iterable[ObjectId]) -> Iterator[str]:
    """Yield the paths that no folder can show, of what some commits add; all of them become part of the history."""
    for commit_id in commits:
        commit = graph.read(source, commit_id)
        before = graph.read(source, commit.parents[0]).tree if commit.parents else None
        for change in trees.diff(source, before, commit.tree):
            if change.after is not None and not is_safe(change.path):
                yield change.path


def _is_odd(entry: TreeEntry | None) -> bool:
    return entry is not None and entry.mode >> 12 != FILE >> 12


def _made_right(
    reader: Reader, jobs: Collection, merged: MergedRoots, edited: trees.Edited, roots: tuple[ObjectId, ...]
) -> trees.Edited:
    """Return a merged tree in which follows what follows from the sheets of both sides together.

    That is needed where neither side contradicts itself, and both together do: each of them made a sheet pending, say,
    so that neither could know which one is the last that is completed. ``roots`` are base, now and wanted.
    """
    base, now, wanted = roots
    after = reader.over(Staging(reader.source, edited.objects))
    moved = {document for document, _, _ in reader.differing(jobs, base, now)}
    changes = dict(merged.files)
    right = True
    for document in merged.documents:
        changes |= document.changes
        if document.document not in moved or document.conflicts:
            continue
        here, there, both = (
            _slot(after.snapshot_in(jobs, document.document, root, root)) for root in (now, wanted, edited.id)
        )
        if not isinstance(here, dict) or not isinstance(there, dict) or not isinstance(both, dict):
            continue
        if new_contradictions(here, both) and not new_contradictions(here, there):
            files = jobs.layout.changes(repaired(both), both)
            folder = after.folder(edited.id, jobs, document.document)
            changes |= {f"{folder}/{path}": content for path, content in files.items()}
            right = False
    return edited if right else trees.edit(reader.source, merged.onto, changes)


def _refuse_if_unrelated(branch: ProposalBranch, standing: Standing) -> None:
    """Raise InvalidInputError when there is not one commit at which a proposal begins."""
    if not standing.bases:
        raise InvalidInputError(
            f"{branch.name!r} has no history in common with the store's branch, so it is no proposal",
            hint="begin one with `gitstate propose`, or with `git branch` at a commit of the store's",
        )
    if len(standing.bases) > 1:
        raise InvalidInputError(
            f"{branch.name!r} and the store's branch were merged into each other, so that it has no one beginning",
            hint="merge the store's branch into the proposal once more, and commit that",
        )


def join(plan: Plan, note: str) -> Joined:
    """Return the merge that applies a plan, which can be applied."""
    name, changed = plan.branch.name, [job for job in plan.jobs if differs(job)]
    told = plan.subjects[0] if len(plan.subjects) == 1 else f"{len(plan.subjects)} commits"
    trailer = (message.PROPOSAL, name)
    if len(changed) == 1:
        job_id = changed[0].job_id
        said = message_for(job_id, Event.MERGED, "", value_of(changed[0].sides.merged), trailers=(trailer,))
        text = told if len(plan.subjects) == 1 else f"{job_id}: {told}"
        return _joined(plan, Message(f"proposal {name}: {text}", note, said.trailers))
    text = told if len(plan.subjects) == 1 and not changed else f"{len(changed)} jobs, {told}"
    facts = [(message.JOB, job.job_id) for job in changed]
    return _joined(
        plan, Message(f"proposal {name}: {text}", note, (*facts, (message.EVENT, Event.MERGED.value), trailer))
    )


def _joined(plan: Plan, said: Message) -> Joined:
    return Joined(plan.merged.id, plan.merged.objects, said, plan.branch.tip)


def _job(jobs: Collection, job_id: str, sides: Sides, conflicts: tuple[Conflict, ...], *, whole: bool) -> JobPlan:
    base, now, wanted, merged = map(_slot, sides)
    whole = whole or relying.is_whole(base, wanted)
    moved = _unread_moved(sides, base, now)
    if moved is None:
        moved = relying.moved_places(base, now, wanted, whole=whole, rules=jobs.rules)
    if sides.wanted is None and sides.now is not None and not moved:
        moved = list(_attached_since(sides.base, sides.now))
    moved = moved or list(conflicts) or relying.unmet(base, merged, wanted)
    value = now if isinstance(now, dict) else {}
    job = JobPlan(job_id, sides, tuple(moved), (), runs_here(SimpleNamespace(**value)), whole)
    if moved or not differs(job):
        return job
    return JobPlan(job_id, sides, (), tuple(_problems(jobs, job_id, sides)), job.runs, whole)


def differs(job: JobPlan) -> bool:
    """Whether a job would be another than it is now."""
    now, merged = ((None if side is None else side.tree) for side in (job.sides.now, job.sides.merged))
    return now != merged


def _problems(jobs: Collection, job_id: str, sides: Sides) -> Iterator[Problem]:
    """Yield what is wrong with a job after a merge, and was not before."""
    if sides.merged is None:
        return
    why = _invalid(jobs, sides.merged)
    if why is not None:
        if sides.now is None or _invalid(jobs, sides.now) is None:
            yield Problem(job_id, why, is_fatal=True)
        return
    before = _slot(sides.now)
    for sentence in new_contradictions(before if isinstance(before, dict) else None, sides.merged.content().value):
        yield Problem(job_id, sentence, is_fatal=False)


def _invalid(jobs: Collection, snapshot: Snapshot) -> str | None:
    """Return why a snapshot is no state, None if it is one."""
    try:
        jobs.check(snapshot.content().value)
    except CorruptionError as error:
        return error.message
    return None


def _slot(snapshot: Snapshot | None) -> Slot:
    """Return the value of a job, ABSENT where there is none; None stands for one that cannot be read."""
    try:
        return ABSENT if snapshot is None else snapshot.content().value
    except CorruptionError:
        return None


def _unread_moved(sides: Sides, base: Slot, now: Slot) -> list[Conflict] | None:
    """Compare files where a value cannot be read; None: both can be."""
    if base is not None and now is not None:
        return None
    was, found = (None if side is None else side.value_id for side in (sides.base, sides.now))
    return [] if was == found else [Conflict("", base, now, ABSENT)]


def _attached_since(base: Snapshot | None, now: Snapshot) -> Iterator[Conflict]:
    """Yield the files beside a state that are others since a proposal deleted the job: executions that nobody saw."""
    for change in trees.diff(now.source, None if base is None else base.tree, now.tree):
        if not now.collection.layout.owns(change.path):
            yield Conflict(f"/{change.path}", ABSENT, ABSENT, ABSENT)


def was_applied(plan: Plan, history: Callable[[str], Iterator[Snapshot | None]]) -> bool:
    """Whether all that a proposal changes was so once since it began: a forge squashed it, and the jobs went on.

    ``history`` gives the snapshots that a job had since then, the newest first.
    """
    if plan.clashes or plan.problems or not plan.jobs:
        return False

    def has_been(job: JobPlan) -> bool:
        base, _, wanted, _ = map(_slot, job.sides)
        return any(not relying.unmet(base, _slot(each), wanted) for each in history(job.job_id))

    return all(has_been(job) for job in plan.jobs)
