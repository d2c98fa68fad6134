"""Proposals: branches of changes to a store that nobody applied yet, ``refs/heads/proposals/rerun-3``.

A proposal is a branch and no more. One that a person made with ``git branch``, or that was fetched from a forge, is as
good as ours; any other branch, and one of a remote, can be named in its place.
"""

from typing import NamedTuple

from gitstate.engine import graph
from gitstate.engine.base import Engine
from gitstate.engine.beyond import beyond, meeting
from gitstate.engine.objects import ObjectId
from gitstate.engine.repository import BRANCHES, REMOTES, is_branch_name
from gitstate.errors import ExistsError, InvalidInputError, NotFoundError, StaleError, UnsupportedError
from gitstate.store.documents import Revision
from gitstate.store.reader import Reader
from gitstate.words import short

__all__ = ["FOLDER", "ProposalBranch", "Proposals", "Standing", "checked_name"]

FOLDER = "proposals/"
"""What the names of the branches begin with."""

_LISTED = 10  # so many proposals are named in an error


class ProposalBranch(NamedTuple):
    """A branch that holds a proposal: what people call it, its full name, and the commit that it stands at.

    ``is_ours`` says whether it lies among the proposals, so that it is dropped once it was applied.
    """

    name: str
    ref: str
    tip: ObjectId
    is_ours: bool


class Standing(NamedTuple):
    """How two histories stand to each other: the commits at which they met last, and those that each has alone, parents
    before their children.
    """

    bases: tuple[ObjectId, ...]
    ahead: list[ObjectId]
    behind: list[ObjectId]


class Proposals:
    """The proposals of one store. Safe to use from any thread."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    def all(self) -> list[ProposalBranch]:
        """Return the proposals, by name; then those of remotes that are not here as well."""
        below = f"{BRANCHES}{FOLDER}"
        named = [(ref.removeprefix(below), ref, True) for ref in sorted(set(self._engine.refs(below)))]
        distant = [ref for ref in sorted(set(self._engine.refs(REMOTES))) if f"/{FOLDER}" in ref.removeprefix(REMOTES)]
        named += [(ref.removeprefix(REMOTES), ref, False) for ref in distant]
        found = [
            ProposalBranch(name, ref, tip, ours)
            for name, ref, ours in named
            if (tip := self._engine.ref(ref)) is not None
        ]
        here = {(each.name, each.tip) for each in found if each.is_ours}
        return [each for each in found if each.is_ours or (each.name.partition(f"/{FOLDER}")[2], each.tip) not in here]

    def find(self, name: str) -> ProposalBranch:
        """Return a proposal by its name, that of its branch, or that of a branch of a remote (``origin/proposals/x``).

        Raises:
            InvalidInputError: No branch can be named so.
            NotFoundError: There is none; the message lists those that there are.
        """
        name = checked_name(name)
        places = (
            (f"{BRANCHES}{FOLDER}{name}", name, True),
            (f"{BRANCHES}{name}", name, False),
            (f"{REMOTES}{name}", name, False),
        )
        for ref, called, ours in places:
            tip = self._engine.ref(ref)
            if tip is not None:
                return ProposalBranch(called, ref, tip, ours)
        there = ", ".join([each.name for each in self.all()[:_LISTED]]) or "none"
        raise NotFoundError(f"there is no proposal {name!r}", hint=f"the proposals: {there}")

    def make(self, name: str, at: ObjectId) -> ProposalBranch:
        """Make a proposal that begins at a commit.

        Raises:
            InvalidInputError: No branch can be named so.
            ExistsError: It is there, or the name of another one is in the way.
            BusyError: Another process did not let go of the store in time.
        """
        name = checked_name(name)
        ref = f"{BRANCHES}{FOLDER}{name}"
        self.refuse_if_there(name)
        try:
            self._engine.create_ref(ref, at, note=f"branch: Created from {short(at)}")
        except StaleError:  # somebody else was faster
            self.refuse_if_there(name)
            raise
        except UnsupportedError as error:
            raise ExistsError(
                f"a proposal cannot be named {name!r} beside another one: {error.message}", hint="choose another name"
            ) from error
        return ProposalBranch(name, ref, at, True)

    def refuse_if_there(self, name: str) -> None:
        """Raise ExistsError if there is a proposal of this name."""
        standing = self._engine.ref(f"{BRANCHES}{FOLDER}{checked_name(name)}")
        if standing is not None:
            raise ExistsError(
                f"there is a proposal {name!r}, at {standing[:12]}; it was not touched",
                hint="choose another name, or drop that one first",
            )

    def drop(self, branch: ProposalBranch) -> None:
        """Remove a proposal's branch; its commits stay in the repository until git clears them away.

        Raises:
            StaleError: It moved meanwhile; it was not removed.
            ExistsError: It is checked out in a folder, in which it would be missed.
            BusyError: Another process did not let go of the store in time.
        """
        folder = self._engine.checked_out(branch.ref)
        if folder is not None:
            raise ExistsError(
                f"the branch of proposal {branch.name!r} is checked out in {folder}, so it stays",
                hint="`git worktree remove` ends that; then drop the proposal",
            )
        self._engine.delete_ref(branch.ref, expected=branch.tip)

    def standing(self, tip: ObjectId, head: ObjectId, reader: Reader | None = None) -> Standing:
        """Return how a proposal stands to a head. Raises CorruptionError: a commit is missing or damaged."""
        source = (reader or self._reader).source
        ahead = beyond(source, tip, [head])
        return Standing(meeting(source, head, tip) if ahead else (tip,), ahead, beyond(source, head, [tip]))

    def revision(self, commit_id: ObjectId) -> Revision:
        """Return a commit of a proposal's."""
        return Revision.of(commit_id, graph.read(self._reader.source, commit_id))


def checked_name(name: str) -> str:
    """Return the name of a proposal, which may be given as that of its branch.

    Raises:
        InvalidInputError: No branch can be named so.
    """
    short = name.removeprefix(BRANCHES).removeprefix(FOLDER) if isinstance(name, str) else ""
    if not short or short.startswith("-") or not is_branch_name(f"{FOLDER}{short}"):
        raise InvalidInputError(
            f"a proposal cannot be named {name!r}", hint="its name becomes that of a branch: try rerun-sheet-3"
        )
    return short
