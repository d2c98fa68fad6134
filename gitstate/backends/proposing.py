"""Proposals: changes of jobs on a branch of their own, reviewed and applied if what they relied on is still so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitstate.backends.exchange import ExchangeBackend
from gitstate.backends.rewind import note_of
from gitstate.errors import GitStateError, InvalidInputError

if TYPE_CHECKING:
    from gitstate.backends.proposals import Plan, Proposal
    from gitstate.backends.reviewing import ProposalReview, Reviewer
    from gitstate.store.batch import Joined
    from gitstate.store.proposals import ProposalBranch
    from gitstate.store.reader import Reader

__all__ = ["AppliedProposal", "ProposingBackend"]


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
            InvalidInputError: No branch can be named so, or the name holds a credential.
            ExistsError: There is a proposal of this name, or one whose name is in the way.
            RevisionNotFoundError: No revision answers to ``at``, or several do.
        """
        from gitstate.store.proposals import FOLDER, ProposalBranch, checked_name

        def work() -> Proposal:
            self._redaction.refuse_in_name("proposal", name)
            commit, proposals = self._store.resolve(at), self._store.proposals
            if dry_run:
                short = checked_name(name)
                proposals.refuse_if_there(short)
                return self._reviewer.proposal(ProposalBranch(short, f"refs/heads/{FOLDER}{short}", commit, True))
            return self._reviewer.proposal(proposals.make(name, commit))

        return await asyncio.to_thread(work)

    async def proposals(self) -> list[Proposal]:
        """Return the proposals, by name; those of remotes that are not here as well come last."""
        return await asyncio.to_thread(lambda: [self._reviewer.proposal(each) for each in self._store.proposals.all()])

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
            return self._reviewer.review(self._reviewer.plan(branch), volatile=volatile, texts=texts)

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
        from gitstate.backends.proposals import differs
        from gitstate.backends.reviewing import refusal

        note = note_of(message)

        def work() -> AppliedProposal:
            branch = self._store.proposals.find(name)
            told, plan = self._reviewer.proposal(branch), self._reviewer.plan(branch)
            revision: str | None = None
            if dry_run or plan.is_contained:
                review = self._reviewer.review(plan)
                _raise(refusal(review, force=force))
                contained = review.state == "contained"
            else:
                revision, plan, contained = self._applied(branch, note, force=force)
            changed = () if contained else tuple(job.job_id for job in plan.jobs if differs(job))
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
            told = self._reviewer.proposal(branch)
            if not dry_run:
                self._store.proposals.drop(branch)
            return told

        return await asyncio.to_thread(work)

    @property
    def _reviewer(self) -> Reviewer:
        from gitstate.backends.reviewing import Reviewer

        return Reviewer(self._store, self._jobs)

    def _applied(self, branch: ProposalBranch, note: str, *, force: bool) -> tuple[str | None, Plan, bool]:
        """Write the merge; return its commit, what was planned on the head that it follows, and whether there was
        nothing to apply.
        """
        from gitstate.backends import proposals
        from gitstate.backends.reviewing import refusal

        done: list[Plan] = []  # the last one counts: a write may be made again

        def edit(reader: Reader, head: str) -> Joined | None:
            plan = proposals.plan(reader, self._jobs, self._store.proposals, branch, head)
            done.append(plan)
            return None if plan.is_contained or _refused(plan, force=force) else proposals.join(plan, note)

        revision = self._store.submit_merge(edit).result()
        if revision is not None:
            return revision.id, done[-1], False
        # Here, and not under the lock: it may take a while to find who did what.
        review = self._reviewer.review(done[-1])
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


def _raise(error: GitStateError | None) -> None:
    if error is not None:
        raise error


def _refused(plan: Plan, *, force: bool) -> bool:
    fatal = any(problem.is_fatal or not force for problem in plan.all_problems)
    return plan.has_moved or fatal or (bool(plan.busy) and not force)
