"""Which revision made a document what it is: whose work a state is that nobody can read."""

from itertools import islice

from gitstate.errors import CorruptionError, GitStateError, StateCorruptionError
from gitstate.store import history
from gitstate.store.documents import Revision, Snapshot
from gitstate.store.reader import Reader
from gitstate.store.trails import Trail
from gitstate.words import short

__all__ = ["attributed", "maker", "reason_of", "told"]

_FAR = 1000  # revisions that are looked at; what did not change the value, such as executions, is passed over


def maker(reader: Reader, snapshot: Snapshot) -> Revision | None:
    """Return the revision that made the value of a document what it is in a snapshot.

    None: a file of it is missing or damaged, which is no commit's work, or history does not tell. Never raises.
    """
    found: Revision | None = None
    try:
        for path, entry in snapshot.entries:
            if snapshot.collection.layout.owns(path) and not entry.is_directory:
                snapshot.source.read(entry.id, "blob")
        trail = Trail(snapshot.collection, snapshot.document, snapshot.revision)
        for revision in islice(history.revisions(reader, trail), _FAR):
            then = reader.after(snapshot.collection, snapshot.document, revision)
            if then is None or then.value_id != snapshot.value_id:
                break
            found = revision
    except GitStateError:
        return found
    return found


def told(revision: Revision) -> str:
    """Return who made a revision, and when, in words."""
    return f"made by {short(revision.id)} of {revision.author}, {revision.time:%Y-%m-%d %H:%M:%SZ}"


def reason_of(error: CorruptionError) -> str:
    """Return what is wrong with a document, without the words that name it."""
    return error.reason if isinstance(error, StateCorruptionError) else error.message


def attributed(reader: Reader, snapshot: Snapshot, error: CorruptionError) -> StateCorruptionError:
    """Return an error that says as well which commit made a snapshot so, and whose that is."""
    found = maker(reader, snapshot)
    by = ("", "", "") if found is None else (f": {told(found)}", found.id, found.author)
    return StateCorruptionError(
        error.message + by[0],
        pointer=error.pointer,
        hint=error.hint,
        reason=reason_of(error),
        revision=by[1],
        author=by[2],
    )
