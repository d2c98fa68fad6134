"""The life that a job has now: what came before it was deleted and made anew is not its own."""

from collections.abc import Iterator

from gitstate.errors import RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Collection, Revision
from gitstate.store.store import Store

__all__ = ["present_life"]


def present_life(store: Store, collection: Collection, job_id: str, at: str | None = None) -> Iterator[Revision]:
    """Yield the revisions of the life that a job has at a revision (None: the head), newest first; none if it has none.

    A job that was deleted and brought back goes on with the life that it had then.

    Raises:
        RevisionNotFoundError: No revision answers to ``at``, or several do.
    """
    start = store.resolve(at, collection, job_id)
    if store.snapshot(collection, job_id, start) is None:
        return
    births: set[str] = set()
    while True:
        try:
            revisions = store.history(collection, job_id, start)
        except RevisionNotFoundError:
            return
        birth: Revision | None = None
        for revision in revisions:
            if _removed(store, collection, job_id, revision):
                if birth is None:  # the deletion that was taken back
                    continue
                break  # an earlier life of the job ended here
            yield revision
            birth = revision
        source = None if birth is None or birth.id in births else _brought_back_from(collection, job_id, birth)
        if birth is None or source is None:
            return
        births.add(birth.id)
        start = source


def _removed(store: Store, collection: Collection, job_id: str, revision: Revision) -> bool:
    """Whether a job is not there after a revision; after an execution of it it is, so that need not be looked up."""
    if revision.removed is not None:
        return revision.removed
    told = revision.message
    executes = told.get(collection.trailer) == job_id and told.get(message.EXECUTION) is not None
    return not executes and store.snapshot(collection, job_id, revision.id) is None


def _brought_back_from(collection: Collection, job_id: str, birth: Revision) -> str | None:
    """Return the revision as which a commit brought a deleted job back, or the deletion that it took back."""
    told = birth.message
    ours = told.get(collection.trailer) == job_id and told.get(message.EVENT) in (Event.RESTORED, Event.UNDONE)
    return (told.get(message.SOURCE) or told.get(message.UNDOES) or None) if ours else None
