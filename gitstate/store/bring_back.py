"""The commits that bring back what others took back without meaning to."""

from gitstate.engine import graph, trees
from gitstate.engine.beyond import is_in_history
from gitstate.engine.objects import TreeEntry
from gitstate.engine.reflog import Move
from gitstate.engine.trees import Changes
from gitstate.format import message
from gitstate.format.message import Event, Message
from gitstate.store.batch import Batch
from gitstate.store.documents import Collection
from gitstate.store.foreign import Made
from gitstate.store.merging import MergedDocument, merge_roots
from gitstate.store.two_moments import Sides

__all__ = ["follow", "rejoin"]

_WHAT = "brought back what a commit from an older view took back"
_DROPPED = "brought back the saves that a reset of the folder dropped"
_LISTED = 10  # so many conflicts are named in a message
_NAMED = 60  # so many characters of a document's id are shown; the trailer has it whole


def rejoin(batch: Batch, collections: list[Collection], move: Move) -> None:
    """Bring back the saves that a reset dropped, which was none of the branch."""
    source, dropped = batch.reader.source, move.before
    if dropped is None or not is_in_history(source, move.after, dropped) or is_in_history(source, dropped, batch.tip):
        return
    if is_in_history(source, batch.tip, dropped):
        batch.advance(dropped, "went on from the saves that a reset had dropped")
        return
    trees_of = (graph.read(source, commit_id).tree for commit_id in (move.after, batch.tip, dropped))
    merged = merge_roots(batch.reader, collections, *trees_of)
    whole = merged.edit(batch.reader)
    why = f"`git reset` put the branch back to {move.after[:12]}, which was only meant to drop edits in the folder."
    told = Message(_DROPPED, body=why, trailers=((message.EVENT, Event.MERGED.value),))
    batch.commit(whole.id, whole.objects, told, dropped)


def follow(batch: Batch, collections: list[Collection], made: Made, base: dict[str, TreeEntry | None]) -> None:
    """Commit what both did: the saves that the commit took back, and what it changed."""
    sides = Sides.of(batch.reader, collections, (batch.tip, made.before, made.move.after), base)
    merged = merge_roots(sides.reader, collections, sides.base, sides.head, sides.before)
    why = f"The folder was behind when {made.move.after[:12]} was committed there, which took back what had been saved."
    files = Message(f"{_WHAT}, in other files", body=why, trailers=((message.EVENT, Event.MERGED.value),))
    if merged.onto != sides.head:  # all documents were moved as well: everything at once
        whole = merged.edit(sides.reader)
        batch.commit(whole.id, whole.objects, files)
        return
    for document in merged.documents:
        _commit(batch, {**sides.mended.get(document.document, {}), **document.changes}, _told(document, why))
    _commit(batch, merged.files, files)


def _told(merged: MergedDocument, why: str) -> Message:
    """Say what became of a document, the places where the commit stands included."""
    pointers = [conflict.pointer or "/" for conflict in merged.conflicts]
    lines = [why]
    if merged.note:
        lines.append(f"Of both: {merged.note}.")
    if pointers:
        more = f", and {len(pointers) - _LISTED} more" if len(pointers) > _LISTED else ""
        lines.append(f"Both had changed {', '.join(pointers[:_LISTED])}{more}: there the commit counts.")
    subject = f"{merged.document[:_NAMED]}: {_WHAT}"
    trailers = ((merged.collection.trailer, merged.document), (message.EVENT, Event.MERGED.value))
    return Message(subject, body="\n".join(lines), trailers=trailers)


def _commit(batch: Batch, changes: Changes, told: Message) -> None:
    made = trees.edit(batch.reader.source, graph.read(batch.reader.source, batch.tip).tree, changes)
    if made.objects:
        batch.commit(made.id, made.objects, told)
