"""What became of a fetch, a push or a sync, as data."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from gitstate.engine.objects import ObjectId
from gitstate.values.merge import Conflict

if TYPE_CHECKING:
    from gitstate.store.joining import DocumentOutcome, Result

__all__ = ["BAD", "Companion", "FetchReport", "Outcome", "PushReport", "Standing", "SyncReport", "worst"]

BAD = ("parked", "invalid")
"""The results of documents that a person should look at."""

Fate = Literal["sent", "received", "kept", "dropped there", "dropped here", "differs", "refused"]


class Outcome(NamedTuple):
    """What became of a document that the remote had changed, or that was changed here and had to be merged.

    ``result`` is ``created``, ``fast-forwarded`` or ``deleted`` (as the remote did it), ``merged``, ``up to date``
    (nothing changed here), ``parked`` (places were in conflict: what was saved later has them, and the other state is
    kept as a rescue) or ``invalid`` (a side is no state: the other one stays). ``detail`` says more, and ``conflicts``
    which places were in conflict. ``revision`` and ``author`` are those of the commit that lost a place, or made what
    is no state; "" of any other.
    """

    collection: str
    document: str
    result: "Result"
    detail: str = ""
    conflicts: tuple[Conflict, ...] = ()
    revision: ObjectId = ""
    author: str = ""

    @classmethod
    def of(cls, outcome: "DocumentOutcome") -> Self:
        """Return what a merge says of a document, without the collection itself."""
        return cls(outcome.collection.name, *outcome[1:])


class Companion(NamedTuple):
    """A ref that travels beside the branch, a rescue or a pin, and what became of it.

    ``kept``: a state that the merge left behind was put aside under it. ``differs``: the remote has another one of the
    name; both stayed. ``refused``: what the remote has there, or the remote itself, did not pass; ``detail`` says why.
    """

    ref: str
    revision: ObjectId
    fate: Fate
    detail: str = ""


class Standing(NamedTuple):
    """How the store stands to a remote, as that was seen last: the commits that each has alone, parents first.

    ``tip`` is where the remote's branch stood; None: it was never seen, and ``ahead`` is then the whole history.
    """

    tip: ObjectId | None
    ahead: tuple[ObjectId, ...]
    behind: tuple[ObjectId, ...]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch brought. ``before`` and ``tip`` say where the remote's branch stood when it was seen before, and
    where it stands (None: it is not there); ``fetched`` how many commits are new here.
    """

    remote: str
    before: ObjectId | None
    tip: ObjectId | None
    fetched: int = 0
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True)
class PushReport:
    """What a push brought to the remote. ``before`` and ``head`` say where its branch stood, and where it stands."""

    remote: str
    before: ObjectId | None
    head: ObjectId
    pushed: int = 0
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True)
class SyncReport:
    """What became of a sync.

    Args:
        remote: Its name, or its address without a password.
        before: The store's head when it began.
        head: The head that both have now.
        pushed: How many commits the remote had not.
        fetched: How many commits the store had not.
        outcomes: The documents that the remote had changed, each with what became of it here.
        companions: The rescues and pins that moved, or could not.
        clashes: The paths of other files that both had changed, each in its way; that of the later head stands, the
            other is in the history.
        rounds: How often the remote was asked; more than two: it moved meanwhile.
    """

    remote: str
    before: ObjectId
    head: ObjectId
    pushed: int = 0
    fetched: int = 0
    outcomes: tuple[Outcome, ...] = ()
    companions: tuple[Companion, ...] = ()
    clashes: tuple[str, ...] = ()
    rounds: int = field(default=1, compare=False)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was put aside, is invalid or clashed: there is nothing for a person to look at."""
        aside = any(each.fate in ("kept", "differs", "refused") for each in self.companions)
        return not (aside or self.clashes or any(each.result in BAD for each in self.outcomes))

    @property
    def is_up_to_date(self) -> bool:
        """Whether both had the same already."""
        return not (self.pushed or self.fetched or self.companions) and self.before == self.head


def worst(first: Outcome | None, second: Outcome) -> Outcome:
    """Return which outcome of a document counts when it was merged twice: one to look at, else the later."""
    return second if first is None or first.result not in BAD else first
