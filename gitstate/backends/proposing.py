"""Proposals: changes of jobs on a branch of their own, reviewed and applied if what they relied on is still so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitstate.backends.exchange import ExchangeBackend
from gitstate.errors import (
    BusyError,
    GitStateError,
    InvalidInputError,
    StaleError,
    StateCorruptionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitstate.backends.checkpoints import Checkpoint
    from gitstate.backends.proposals import JobPlan, Plan, Problem, Proposal
    from gitstate.backends.review import JobDiff
    from gitstate.backends.sides import Side
    from gitstate.store.batch import Joined
    from gitstate.store.documents import Snapshot
    from gitstate.store.proposals import ProposalBranch
    from gitstate.store.reader import Reader
    from gitstate.values.merge import Conflict
    from gitstate.values.shape import Slot

__all__ = ["AppliedProposal", "Moved", "ProposalReview", "ProposingBackend", "refusal"]

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
    other files. ``unread`` are jobs whose changes cannot be shown, since a state cannot be read: now, or as proposed.
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


@dataclass(frozen=True)
class AppliedProposal:
    """What became of a proposal. ``revision`` is the commit that applied it, None in a dry run, or when there was
    nothing to apply. ``kept`` says why its branch is still there, and is empty if it is not.
    """

    proposal: Proposal
    revision: str | None
    jobs: tuple[str, ...]
    is_contained: bool
    kept: str


class ProposingBackend(ExchangeBackend):
    """Proposals; see docs/how-to/review-state-in-a-pull-request.md.

    What is proposed is written by a backend on the branch ``proposals/NAME``, or with git.
    """

    async def propose(self, name: str, at: str | None = None, *, dry_run: bool = False) -> Proposal:
        """Begin a proposal: make the branch ``proposals/NAME`` at a revision, the head by default.

        Raises:
            InvalidInputError: No branch can be named so.
            ExistsError: There is a proposal of this name, or one whose name is in the way.
            RevisionNotFoundError: No revision answers to ``at``, or several do.
        """
        from gitstate.store.proposals import FOLDER, ProposalBranch, checked_name

        def work() -> Proposal:
            commit, proposals = self._store.resolve(at), self._store.proposals
            if dry_run:
                short = checked_name(name)
                proposals.refuse_if_there(short)
                return self._told(ProposalBranch(short, f"refs/heads/{FOLDER}{short}", commit, True))
            return self._told(proposals.make(name, commit))

        return await asyncio.to_thread(work)

    async def proposals(self) -> list[Proposal]:
        """Return the proposals, by name; those of remotes that are not here as well come last."""
        return await asyncio.to_thread(lambda: [self._told(each) for each in self._store.proposals.all()])

    async def review_proposal(self, name: str, *, volatile: bool = False, texts: bool = False) -> ProposalReview:
        """Return what applying a proposal would change in the jobs of now, and whether it can be applied.

        Args:
            name: The proposal, or the name of any branch, such as ``origin/proposals/rerun``.
            volatile: Whether changes of fields that change with nearly every save are shown too.
            texts: Whether the files that would change are wanted as well.

        Raises:
            NotFoundError: There is no such branch.
            InvalidInputError: No branch can be named so, or it has no one beginning in the history of the store.
            CorruptionError: A commit or tree is missing or damaged.
        """

        def work() -> ProposalReview:
            branch = self._store.proposals.find(name)
            return self._reviewed(self._plan(branch), volatile=volatile, texts=texts)

        return await asyncio.to_thread(work)

    async def apply_proposal(
        self,
        name: str,
        *,
        message: str | None = None,
        keep: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> AppliedProposal:
        """Merge a proposal if all that it relied on is still so at the moment of the write; then drop its branch.

        Args:
            name: The proposal, or the name of any branch; one that is no proposal of this store is kept.
            message: Why; it becomes the body of the commit's message.
            keep: Whether to keep the branch.
            force: Also where a job that is running would be changed as a whole, or would contradict itself.
            dry_run: Write nothing, but tell, or refuse, what would be done.

        Raises:
            StaleError: What it relied on is no longer so; ``moved`` lists the places.
            InvalidInputError: What came of it would be no state, or contradict itself; or as :meth:`review_proposal`.
            BusyError: A job that is running would be changed as a whole.
            NotFoundError: There is no such branch.
        """
        if message is not None and not isinstance(message, str):
            raise InvalidInputError(f"a message is a text, not {message!r}")

        def work() -> AppliedProposal:
            branch = self._store.proposals.find(name)
            told, plan = self._told(branch), self._plan(branch)
            revision: str | None = None
            if dry_run or plan.is_contained:
                review = self._reviewed(plan)
                _raise(refusal(review, force=force))
                contained = review.state == "contained"
            else:
                revision, plan, contained = self._applied(branch, message or "", force=force)
            changed = () if contained else tuple(job.job_id for job in plan.jobs if _differs(job))
            kept = self._dropped(branch, keep=keep) if revision is not None else "it was not applied"
            return AppliedProposal(told, revision, changed, contained, kept)

        return await asyncio.to_thread(work)

    async def drop_proposal(self, name: str, *, dry_run: bool = False) -> Proposal:
        """Remove a proposal's branch, and return what it was: with its commit it can be made again.

        Raises:
            NotFoundError: There is no such proposal.
            InvalidInputError: It is a branch, but no proposal of this store.
            StaleError: It moved meanwhile; it was not removed.
            ExistsError: It is checked out in a folder.
        """

        def work() -> Proposal:
            branch = self._store.proposals.find(name)
            if not branch.is_ours:
                raise InvalidInputError(
                    f"{branch.ref} is a branch, but no proposal of this store; it was not touched",
                    hint="`git branch` deletes any branch",
                )
            told = self._told(branch)
            if not dry_run:
                self._store.proposals.drop(branch)
            return told

        return await asyncio.to_thread(work)

    def _told(self, branch: ProposalBranch) -> Proposal:
        from gitstate.backends import proposals

        return proposals.proposal(self._store.reader, self._jobs, self._store.proposals, branch, self._store.head())

    def _plan(self, branch: ProposalBranch) -> Plan:
        from gitstate.backends import proposals

        return proposals.plan(self._store.reader, self._jobs, self._store.proposals, branch, self._store.head())

    def _applied(self, branch: ProposalBranch, note: str, *, force: bool) -> tuple[str | None, Plan, bool]:
        """Write the merge; return its commit, what was planned on the head that it follows, and whether there was
        nothing to apply.
        """
        from gitstate.backends import proposals

        done: list[Plan] = []  # the last one counts: a write may be made again

        def edit(reader: Reader, head: str) -> Joined | None:
            plan = proposals.plan(reader, self._jobs, self._store.proposals, branch, head)
            done.append(plan)
            return None if plan.is_contained or _refused(plan, force=force) else proposals.join(plan, note)

        revision = self._store.submit_merge(edit).result()
        if revision is not None:
            return revision.id, done[-1], False
        review = self._reviewed(done[-1])  # here, and not under the lock: it may take a while to find who did what
        _raise(refusal(review, force=force))
        return None, done[-1], True

    def _dropped(self, branch: ProposalBranch, *, keep: bool) -> str:
        """Drop the branch of what was applied; return why it was kept."""
        if keep or not branch.is_ours:
            return "it was to be kept" if keep else "it is no proposal of this store"
        try:
            self._store.proposals.drop(branch)
        except GitStateError as error:
            return error.message
        return ""

    # Reviewing

    def _reviewed(self, plan: Plan, *, volatile: bool = False, texts: bool = False) -> ProposalReview:
        from gitstate.backends.proposals import was_applied

        told = self._told(plan.branch)
        contained = plan.is_contained or (plan.has_moved and was_applied(plan, lambda job: self._since(plan, job)))
        if contained:
            return ProposalReview(told, plan.head, "contained")
        changed = [job for job in plan.jobs if not job.moved and _differs(job)]
        moved = [job for job in plan.jobs if job.moved]
        unread: list[str] = []
        return ProposalReview(
            proposal=told,
            head=plan.head,
            state=_state(plan),
            jobs=tuple(self._diffs(plan, changed, unread, outdated=False, volatile=volatile)),
            outdated=tuple(self._diffs(plan, moved, unread, outdated=True, volatile=volatile)),
            unread=tuple(unread),
            files=plan.files,
            moved=tuple(self._moved(plan)),
            problems=plan.all_problems,
            running=tuple(job.job_id for job in plan.jobs if job.runs and _differs(job)),
            texts=self._texts(plan, changed) if texts else {},
        )

    def _since(self, plan: Plan, job_id: str) -> Iterator[Snapshot | None]:
        """Yield the snapshots that a job had since a proposal began, the newest first."""
        known = set(plan.standing.behind)
        for revision in self._store.history(self._jobs, job_id, plan.head):
            if revision.id not in known:
                return
            yield self._store.snapshot(self._jobs, job_id, revision.id)

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
        from gitstate.backends import review

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
        from gitstate.backends.checkpoints import Checkpoint
        from gitstate.backends.sides import JobSide, Side

        revision = next(self._store.history(self._jobs, job_id, at), None)
        checkpoint = None if revision is None else Checkpoint.of(job_id, revision)
        return Side(JobSide(job_id, checkpoint, exists=snapshot is not None), snapshot)

    def _moved(self, plan: Plan) -> Iterator[Moved]:
        from gitstate.values.shape import ABSENT

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
        from gitstate.backends.checkpoints import Checkpoint
        from gitstate.store import tracing
        from gitstate.values.pointer import parse

        found = next(tracing.blame(self._store, self._jobs, job_id, parse(conflict.pointer), plan.head), None)
        revision = None if found is None else found[0]
        if revision is None or revision.id not in plan.standing.behind:
            revision = next(self._store.history(self._jobs, job_id, plan.head), None)
        return None if revision is None or revision.id not in plan.standing.behind else Checkpoint.of(job_id, revision)

    def _texts(self, plan: Plan, changed: list[JobPlan]) -> dict[str, tuple[bytes, bytes]]:
        from gitstate.engine import graph
        from gitstate.store.changes import changed_files

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


def _raise(error: GitStateError | None) -> None:
    if error is not None:
        raise error


def _refused(plan: Plan, *, force: bool) -> bool:
    fatal = any(problem.is_fatal or not force for problem in plan.all_problems)
    return plan.has_moved or fatal or (bool(plan.busy) and not force)


def _state(plan: Plan) -> str:
    if plan.has_moved:
        return "moved"
    if plan.all_problems:
        return "invalid"
    return "busy" if plan.busy else "applicable"


def _differs(job: JobPlan) -> bool:
    from gitstate.backends.proposals import differs

    return differs(job)


def _moved_told(moved: Moved) -> str:
    where = moved.place if moved.job_id is None else f"{moved.place or 'the state'} of job {moved.job_id!r}"
    who = moved.checkpoint
    return where if who is None else f"{where} (by {who.revision[:10]}, {who.author}: {who.subject})"
