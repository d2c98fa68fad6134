"""What a reviewer of a proposal is told: what would change today, what moved and by whom, what would not be right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitstate.backends import proposals, review
from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.proposals import JobPlan, Plan, Problem, Proposal, differs
from gitstate.backends.review import JobDiff
from gitstate.backends.sides import JobSide, Side
from gitstate.engine import graph, trees
from gitstate.errors import BusyError, GitStateError, InvalidInputError, StaleError, StateCorruptionError
from gitstate.store import tracing
from gitstate.store.changes import changed_files
from gitstate.store.documents import Collection, Snapshot
from gitstate.store.proposals import ProposalBranch
from gitstate.store.store import Store
from gitstate.values.merge import Conflict
from gitstate.values.pointer import parse
from gitstate.values.shape import ABSENT, Slot
from gitstate.words import short

__all__ = ["Moved", "ProposalReview", "Reviewer", "refusal"]

_LISTED = 10  # so many places are named in an error
_TRACED = 50  # and of so many it is looked for who set them


@dataclass(frozen=True)
class Moved:
    """A place on which a proposal relied, and which is another one now.

    ``place`` is a pointer into the state of the job, or a path where the job is None. ``relied`` is what stood there,
    ``wanted`` what the proposal makes of it, ``now`` what is there; ABSENT: nothing. ``checkpoint`` is the one that set
    it, None where that is not known.
    """

    job_id: str | None
    place: str
    relied: Slot
    wanted: Slot
    now: Slot
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class ProposalReview:
    """What applying a proposal would change in the jobs of now.

    ``head`` is the commit that they stand at. ``state`` is ``applicable``; ``contained``: there is nothing to apply,
    since it is empty or was merged; ``moved``: what it relied on is no longer so; ``invalid``: what came of it would be
    no state, or contradict itself; or ``busy``: a job that is running here would be changed as a whole. ``jobs`` are
    the changes from now; ``outdated`` those of jobs that moved, from where the proposal began; ``files`` the paths of
    files that are no part of a state. ``unread`` are jobs whose changes cannot be shown, since a state cannot be read:
    now, or as proposed.
    ``texts`` are the files of states that would change, on both sides, if they were asked for.
    """

    proposal: Proposal
    head: str
    state: str
    jobs: tuple[JobDiff, ...] = ()
    outdated: tuple[JobDiff, ...] = ()
    files: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    problems: tuple[Problem, ...] = ()
    running: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    texts: Mapping[str, tuple[bytes, bytes]] = field(default_factory=dict, repr=False)


class Reviewer:
    """Looks at the proposals of a store."""

    def __init__(self, store: Store, jobs: Collection) -> None:
        self._store = store
        self._jobs = jobs

    def proposal(self, branch: ProposalBranch) -> Proposal:
        """Return what is to be told of a proposal's branch."""
        return proposals.proposal(self._store.reader, self._jobs, self._store.proposals, branch, self._store.head())

    def plan(self, branch: ProposalBranch) -> Plan:
        """Return what applying a proposal would do now; raises as :func:`gitstate.backends.proposals.plan` does."""
        return proposals.plan(self._store.reader, self._jobs, self._store.proposals, branch, self._store.head())

    def review(self, plan: Plan, *, volatile: bool = False, texts: bool = False) -> ProposalReview:
        """Return what is to be told of a plan, as ``review_proposal`` of a backend has it."""
        told = self.proposal(plan.branch)
        contained = plan.is_contained or (
            plan.has_moved and proposals.was_applied(plan, lambda job: self._since(plan, job))
        )
        if contained:
            return ProposalReview(told, plan.head, "contained")
        changed = [job for job in plan.jobs if not job.moved and differs(job)]
        moved = [job for job in plan.jobs if job.moved]
        unread: list[str] = []
        return ProposalReview(
            proposal=told,
            head=plan.head,
            state=_state(plan),
            jobs=tuple(self._diffs(plan, changed, unread, outdated=False, volatile=volatile)),
            outdated=tuple(self._diffs(plan, moved, unread, outdated=True, volatile=volatile)),
            unread=tuple(unread),
            files=tuple(sorted({*plan.files, *self._attached(plan, changed)})),
            moved=tuple(self._moved(plan)),
            problems=plan.all_problems,
            running=tuple(job.job_id for job in plan.jobs if job.runs and differs(job)),
            texts=self._texts(plan, changed) if texts else {},
        )

    def _since(self, plan: Plan, job_id: str) -> Iterator[Snapshot | None]:
        """Yield the snapshots that a job had since a proposal began, the newest first."""
        known = set(plan.standing.behind)
        for revision in self._store.history(self._jobs, job_id, plan.head):
            if revision.id not in known:
                return
            yield self._store.after(self._jobs, job_id, revision)

    def _diffs(
        self, plan: Plan, jobs: list[JobPlan], unread: list[str], *, outdated: bool, volatile: bool
    ) -> Iterator[JobDiff]:
        """Yield the changes of jobs; ``unread`` gets the ids of those of which a state cannot be read."""
        for job in jobs:
            try:
                yield self._diff(plan, job, outdated=outdated, volatile=volatile)
            except StateCorruptionError:
                unread.append(job.job_id)

    def _diff(self, plan: Plan, job: JobPlan, *, outdated: bool, volatile: bool) -> JobDiff:
        if outdated:
            start = plan.standing.bases[0]
            sides = (
                self._side(job.job_id, start, job.sides.base),
                self._side(job.job_id, plan.branch.tip, job.sides.wanted),
            )
        else:
            sides = (
                self._side(job.job_id, plan.head, job.sides.now),
                self._side(job.job_id, plan.branch.tip, job.sides.merged),
            )
        return review.review(sides, volatile=volatile)

    def _side(self, job_id: str, at: str, snapshot: Snapshot | None) -> Side:
        revision = next(self._store.history(self._jobs, job_id, at), None)
        checkpoint = None if revision is None else Checkpoint.of(job_id, revision)
        return Side(JobSide(job_id, checkpoint, exists=snapshot is not None), snapshot)

    def _moved(self, plan: Plan) -> Iterator[Moved]:
        traced = 0
        for job in plan.jobs:
            for conflict in job.moved:
                traced += 1
                who = self._who(plan, job.job_id, conflict) if traced <= _TRACED else None
                yield Moved(job.job_id, conflict.pointer, conflict.base, conflict.theirs, conflict.ours, who)
        for path in plan.clashes:
            yield Moved(None, path, ABSENT, ABSENT, ABSENT, None)

    def _who(self, plan: Plan, job_id: str, conflict: Conflict) -> Checkpoint | None:
        """Return the checkpoint that set what stands at a place now, if it was made since the proposal began."""
        found = next(tracing.blame(self._store, self._jobs, job_id, parse(conflict.pointer), plan.head), None)
        revision = None if found is None else found[0]
        if revision is None or revision.id not in plan.standing.behind:
            revision = next(self._store.history(self._jobs, job_id, plan.head), None)
        return None if revision is None or revision.id not in plan.standing.behind else Checkpoint.of(job_id, revision)

    def _attached(self, plan: Plan, changed: list[JobPlan]) -> Iterator[str]:
        """Yield the paths of files that lie in the folders of jobs, as an attempt's output, and would change."""
        root = graph.read(self._store.reader.source, plan.head).tree
        for job in changed:
            now, merged = job.sides.now, job.sides.merged
            if merged is None:
                continue  # they go with the job
            folder = self._store.reader.folder(root, self._jobs, job.job_id)
            for change in trees.diff(merged.source, None if now is None else now.tree, merged.tree):
                if not self._jobs.layout.owns(change.path):
                    yield f"{folder}/{change.path}"

    def _texts(self, plan: Plan, changed: list[JobPlan]) -> dict[str, tuple[bytes, bytes]]:
        root = graph.read(self._store.reader.source, plan.head).tree
        texts: dict[str, tuple[bytes, bytes]] = {}
        for job in changed:
            folder = self._store.reader.folder(root, self._jobs, job.job_id)
            files = changed_files(job.sides.now, job.sides.merged)
            texts |= {f"{folder}/{path}": sides for path, sides in files.items()}
        return texts


def refusal(review: ProposalReview, *, force: bool = False) -> GitStateError | None:
    """Return the error with which what was reviewed cannot be applied, None if it can be, or need not be."""
    name, again = review.proposal.name, "`gitstate review` shows it; make the change anew on a proposal of today"
    if review.moved:
        listed = "; ".join(map(_moved_told, review.moved[:_LISTED])) + ("; ..." if len(review.moved) > _LISTED else "")
        return StaleError(
            f"proposal {name!r} relied on what is no longer so, and nothing was changed: {listed}",
            moved=review.moved,
            hint=again,
        )
    wrong = [problem for problem in review.problems if problem.is_fatal or not force]
    if wrong:
        told = "; ".join(
            problem.text if problem.job_id is None else f"job {problem.job_id!r}: {problem.text}"
            for problem in wrong[:_LISTED]
        )
        fatal = any(problem.is_fatal for problem in wrong)
        return InvalidInputError(
            f"proposal {name!r} would leave what is not right, and nothing was changed: {told}",
            hint="correct it on its branch" + ("" if fatal else ", or use --force (force=True) if it is meant so"),
        )
    if review.state == "busy" and not force:
        listed = ", ".join(map(repr, review.running[:_LISTED]))
        return BusyError(
            f"proposal {name!r} changes a job as a whole that is running here, and nothing was changed: {listed}",
            hint="stop it first; or use --force (force=True): its next save is then refused where both changed",
        )
    return None


def _state(plan: Plan) -> str:
    if plan.has_moved:
        return "moved"
    if plan.all_problems:
        return "invalid"
    return "busy" if plan.busy else "applicable"


def _moved_told(moved: Moved) -> str:
    where = moved.place if moved.job_id is None else f"{moved.place or 'the state'} of job {moved.job_id!r}"
    who = moved.checkpoint
    return where if who is None else f"{where} (by {short(who.revision)}, {who.author}: {who.subject})"
