"""A push: what the remote says of itself, what of ours it gets, and what it did not take."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitstate.engine.beyond import beyond, independent
from gitstate.engine.objects import ObjectId
from gitstate.engine.transfer.outgoing import beyond_pack
from gitstate.engine.wire.transport import MOVED, Outgoing, RefUpdate
from gitstate.errors import RejectedError
from gitstate.store.remote.companions import Difference
from gitstate.store.remote.links import Link
from gitstate.store.remote.outcomes import Companion

__all__ = ["Look", "push", "refuse_rejected"]

_LOOKED_AT = 50  # refs of a remote that has no branch of ours: it may have some of our commits for all that

_CHECKED_OUT = ("checked out", "denycurrentbranch")
_FINAL = (*_CHECKED_OUT, "hook", "protect", "denied", "deny", "prohibit", "not allowed", "permission")
_PASSING = (
    MOVED,
    "lock",
    "failed to update",
    "unable to",
    "stale",
    "incorrect old value",
    "already exists",
    "fetch first",
)
"""How reasons sound that somebody else's push, at the same moment, was in the way."""


@dataclass
class Look:
    """What a connection for a push saw and did.

    ``head`` is ours, ``before`` where the remote's branch stood (None: it had none) and ``tip`` where it stands;
    ``is_beyond`` says that it has commits that the head has not. ``pushed`` is the number of commits that the branch
    went on by; ``companions`` are those that the remote took or refused, ``rejected`` is why the branch was.
    ``sent_others`` says that companions were sent with it.
    """

    head: ObjectId
    tip: ObjectId | None = None
    before: ObjectId | None = None
    there: Mapping[str, ObjectId] = field(default_factory=dict)
    is_beyond: bool = False
    difference: Difference = field(default_factory=Difference)
    pushed: int = 0
    companions: list[Companion] = field(default_factory=list)
    rejected: str = ""
    sent_others: bool = False

    def is_final(self, last: "Look") -> bool:
        """Whether there is no use in another try after a rejection: no companion can have been the reason, and nobody
        else's push.
        """
        reason = self.rejected.lower()
        if self.sent_others or any(each in reason for each in _PASSING):
            return False
        return any(each in reason for each in _FINAL) or (last.rejected, last.tip) == (self.rejected, self.tip)


def push(link: Link, *, others: bool = True) -> Look:
    """Let the remote's branch go on to our head, if it is a part of its history, and send companions that it lacks.

    Nothing is sent where the remote has commits that the head has not.

    Args:
        link: The remote.
        others: Whether companions travel, too.

    Raises:
        SyncError: The remote cannot be talked to.
        ClosedError: The store is about to be closed.
    """
    departure = _Departure(link, others=others)
    done = link.call(departure.run)
    departure.note(done)
    return departure.look


class _Departure:
    def __init__(self, link: Link, *, others: bool) -> None:
        self._link = link
        self._others = others
        self._updates: list[RefUpdate] = []
        self._ahead = 0
        self.look = Look(link.parts.reader.head())

    def run(self) -> Mapping[str, str]:
        """Talk to the remote; return why which refs were rejected."""

        def plan(there: Mapping[str, ObjectId]) -> Outgoing | None:
            self._link.check_open()
            return self._plan(there)

        return self._link.pushing.push(plan, self._link.progress).rejected

    def _plan(self, there: Mapping[str, ObjectId]) -> Outgoing | None:
        link, look = self._link, self.look
        engine, ref = link.parts.engine, link.ref
        look.there, look.tip = there, there.get(ref)
        look.before = look.tip
        look.difference = link.companions.compare(there, is_same=link.is_same(look.tip))
        known = self._known(there)
        if look.tip is not None and (look.tip not in known or beyond(engine, look.tip, [look.head])):
            look.is_beyond = True
            return None
        if look.tip != look.head:
            self._ahead = len(beyond(engine, look.head, known))
            self._updates.append(RefUpdate(ref, look.tip, look.head))
        if self._others:
            sends, drops = look.difference.send.items(), look.difference.drop_there.items()
            self._updates += [RefUpdate(name, None, commit_id) for name, commit_id in sends]
            self._updates += [RefUpdate(name, commit_id, None) for name, commit_id in drops]
            look.sent_others = bool(sends or drops)
        tips = [update.new for update in self._updates if update.new is not None]
        if not self._updates:
            return None
        thin = link.pushing.takes_thin
        pack = beyond_pack(link.parts.repository, engine, tips, known, thin=thin) if tips else None
        return Outgoing(self._updates, pack)

    def _known(self, there: Mapping[str, ObjectId]) -> list[ObjectId]:
        """Return commits that the remote has and that are here, none of them in the history of another one."""
        link, tip = self._link, self.look.tip
        if tip is not None:
            return link.known([tip])
        few = dict.fromkeys([*there.values()][:_LOOKED_AT])
        return list(independent(link.parts.engine, link.known(few)))

    def note(self, rejected: Mapping[str, str]) -> None:
        """Remember what the remote has by now."""
        link, look = self._link, self.look
        for update in self._updates:
            reason = rejected.get(update.name)
            if update.name == link.ref:
                look.rejected = reason or ""
                if reason is None:
                    look.pushed, look.tip = self._ahead, look.head
                    link.note(look.head, "update by push")
            elif update.new is not None:
                self._note_companion(update.name, update.new, "sent", reason)
            elif update.expected is not None:
                self._note_companion(update.name, update.expected, "dropped there", reason)
        if not look.is_beyond and look.tip is not None and not look.rejected:
            link.note(look.tip, "seen by push")
        look.companions += link.companions.differing(look.difference)
        link.companions.note_seen(look.difference.seen)
        link.companions.note_unseen(look.difference.unseen)

    def _note_companion(self, ref: str, commit_id: ObjectId, fate: str, reason: str | None) -> None:
        companions = self._link.companions
        if reason is not None:
            self.look.companions.append(Companion(ref, commit_id, "refused", reason))
        elif fate == "sent":
            self.look.companions.append(Companion(ref, commit_id, "sent"))
            companions.note_seen({ref: commit_id})
        else:
            self.look.companions.append(Companion(ref, commit_id, "dropped there"))
            companions.note_unseen({ref: commit_id})


def refuse_rejected(link: Link, look: Look) -> None:
    """Raise RejectedError if the remote did not let its branch go on."""
    if not look.rejected:
        return
    said = " ".join(" ".join(link.pushing.said).split())
    hint = "do what the text says, and sync again; what is here stays"
    if any(each in look.rejected.lower() for each in _CHECKED_OUT):
        hint = (
            "a folder shows that branch, which git keeps from being pushed to: sync both with a bare repository "
            "(`git init --bare`), or sync from over there"
        )
    text = f"{link.name} did not take the branch {link.parts.repository.branch}: {look.rejected}"
    raise RejectedError(f"{text}: {said}" if said else text, refs={link.ref: look.rejected}, hint=hint)
