"""The refs that travel beside the branch: rescues, and pins.

A rescue is at the commit that its name ends with, so it never moves. Which ones a remote had when it was seen last is
kept below ``refs/gitstate/remotes/<remote>/``, and three sets decide: what was not seen there and is on one side alone
goes to the other; what was seen there and is gone on one side was dropped there, and goes on the other as well. A pin
is made where it is missing, and never moved or removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from gitstate.engine.base import Engine
from gitstate.engine.objects import ObjectId
from gitstate.engine.remotes import tracking
from gitstate.errors import ReadOnlyError, StaleError, UnsupportedError
from gitstate.store import pins, rescues
from gitstate.store.documents import Collection
from gitstate.store.remote.outcomes import Companion
from gitstate.store.rescues import FOLDER as RESCUES

__all__ = ["Companions", "Difference"]

_MOST = 10_000  # rescues and pins on one side: what is more stays where it is


@dataclass
class Difference:
    """What differs between the store's companions and those of a remote, by ref.

    ``send`` are missing there and ``fetch`` here; ``drop_there`` and ``drop_here`` were dropped on the other side.
    ``differs`` are pins that stand elsewhere there. ``seen`` are to be noted as being there, ``unseen`` as gone.
    ``left`` tells of those that stay where they are because the other side has too many.
    """

    send: dict[str, ObjectId] = field(default_factory=dict)
    fetch: dict[str, ObjectId] = field(default_factory=dict)
    drop_there: dict[str, ObjectId] = field(default_factory=dict)
    drop_here: dict[str, ObjectId] = field(default_factory=dict)
    differs: dict[str, ObjectId] = field(default_factory=dict)
    seen: dict[str, ObjectId] = field(default_factory=dict)
    unseen: dict[str, ObjectId] = field(default_factory=dict)
    left: list[Companion] = field(default_factory=list)


class Companions:
    """The companions of a store, as one remote knows them.

    Args:
        engine: Has the refs.
        remote: The remote's name; "" for one that has none, of which nothing can be remembered.
        collections: Those whose pins travel.
    """

    def __init__(self, engine: Engine, remote: str, collections: Iterable[Collection]) -> None:
        self._engine = engine
        self._remote = remote
        self._pins = tuple(pins.folder(each) for each in collections)

    def compare(self, there: Mapping[str, ObjectId], *, is_same: bool | None) -> Difference:
        """Compare with the refs of the remote.

        ``is_same`` says that it goes on where it was seen last. One that was emptied, or made anew, did not drop what
        it has not. None: that cannot be told yet, so what was seen there is left alone.
        """
        found = Difference()
        ours = {ref for folder in self._pins for ref in self._engine.refs(folder)}
        theirs = {ref: commit_id for ref, commit_id in there.items() if ref.startswith(self._pins)}
        self._compare_pins(found, ours, theirs)
        kept, known = rescues.refs(self._engine), rescues.well_named(there)
        self._compare_rescues(found, kept, known, is_same=is_same)
        found.left += _bound(found.fetch, len(ours) + len(kept), "here")
        found.left += _bound(found.send, len(theirs) + len(known), "there")
        return found

    def _compare_rescues(
        self,
        found: Difference,
        here: Mapping[str, ObjectId],
        there: Mapping[str, ObjectId],
        *,
        is_same: bool | None,
    ) -> None:
        seen = self._seen()
        for ref, commit_id in sorted({**seen, **here, **there}.items()):
            is_known = ref in seen and is_same is not False
            if ref in there and ref in here:
                if ref not in seen:
                    found.seen[ref] = commit_id
            elif ref not in there and ref not in here:
                found.unseen[ref] = commit_id
            elif not is_known:
                (found.fetch if ref in there else found.send)[ref] = commit_id
            elif is_same:
                (found.drop_there if ref in there else found.drop_here)[ref] = commit_id

    def _compare_pins(self, found: Difference, here: set[str], there: Mapping[str, ObjectId]) -> None:
        for ref in sorted(here | there.keys()):
            ours = self._engine.ref(ref) if ref in here else None
            if ref not in there:
                if ours is not None:  # else it is a tag of something else
                    found.send[ref] = ours
            elif ref not in here:
                found.fetch[ref] = there[ref]
            elif there[ref] != ours and (ours is None or self._engine.peeled(there[ref]) != ours):
                found.differs[ref] = there[ref]

    def _seen(self) -> dict[str, ObjectId]:
        if not self._remote:
            return {}
        folder = self._seen_folder
        refs = self._engine.refs(folder)
        return {RESCUES + ref.removeprefix(folder): found for ref in refs if (found := self._engine.ref(ref))}

    @staticmethod
    def differing(difference: Difference) -> list[Companion]:
        """Return what is to be told of pins that are others there, and of what stays where it is."""
        differs = [Companion(ref, commit_id, "differs") for ref, commit_id in difference.differs.items()]
        return [*differs, *difference.left]

    def take(self, arrived: Mapping[str, ObjectId]) -> list[Companion]:
        """Make refs that came, with all that they need, of the remote's."""
        taken = []
        for ref, commit_id in arrived.items():
            try:
                self._engine.create_ref(ref, commit_id)
            except StaleError:  # somebody else was faster
                continue
            except UnsupportedError as error:  # another name is in its way
                taken.append(Companion(ref, commit_id, "refused", error.message))
                continue
            taken.append(Companion(ref, commit_id, "received"))
            self.note_seen({ref: commit_id})
        return taken

    def drop(self, gone: Mapping[str, ObjectId]) -> list[Companion]:
        """Remove rescues that were dropped on the remote."""
        dropped = []
        for ref, commit_id in gone.items():
            if self._removed(ref, commit_id):
                dropped.append(Companion(ref, commit_id, "dropped here"))
            self.note_unseen({ref: commit_id})
        return dropped

    def note_seen(self, refs: Mapping[str, ObjectId]) -> None:
        """Remember that the remote has some refs; only of rescues that is asked."""
        for ref, commit_id in refs.items():
            if self._remote and ref.startswith(RESCUES):
                try:
                    self._engine.create_ref(self._seen_ref(ref), commit_id)
                except (StaleError, UnsupportedError):  # it is known
                    continue
                except ReadOnlyError:  # a store that can only be read can be pushed for all that
                    return

    def note_unseen(self, refs: Mapping[str, ObjectId]) -> None:
        """Remember that the remote has some refs no more."""
        for ref, commit_id in refs.items():
            if self._remote and ref.startswith(RESCUES):
                self._removed(self._seen_ref(ref), commit_id)

    def _removed(self, ref: str, commit_id: ObjectId) -> bool:
        try:
            self._engine.delete_ref(ref, expected=commit_id)
        except (StaleError, ReadOnlyError):
            return False
        return True

    def _seen_ref(self, ref: str) -> str:
        return self._seen_folder + ref.removeprefix(RESCUES)

    @property
    def _seen_folder(self) -> str:
        return f"{tracking(self._remote)[1]}rescue/"


def _bound(moving: dict[str, ObjectId], count: int, where: str) -> list[Companion]:
    """Leave out what is too much for a side that has so many already; return what is to be told of that."""
    surplus = dict(islice(moving.items(), max(0, _MOST - count), None))
    for ref in surplus:
        del moving[ref]
    why = f"no more than {_MOST:,} rescues and pins are kept {where}, and {len(surplus):,} stay behind: drop some"
    return [Companion(ref, commit_id, "refused", why) for ref, commit_id in islice(surplus.items(), 1)]
