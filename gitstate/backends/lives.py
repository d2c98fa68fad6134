"""The life that a job has now: what came before it was deleted and made anew is not its own."""

from collections.abc import Iterator

from gitstate.errors import RevisionNotFoundError
from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.answers import Answers
from gitstate.store.documents import Collection, Revision
from gitstate.store.trails import Life

__all__ = ["lives", "present_life"]


def lives(store: Answers, collection: Collection, job_id: str, at: str | None = None, *keys: str) -> Iterator[Life]:
    """Yield the life that a job has at a revision (None: the head), and those with which it goes on, the newest first.

    With what its revisions that have the first of some trailers say with these, if any are given.

    There is none of a job that is not there, and one as a rule: only a job that was deleted and brought back goes on
    with the life that it had then.

    Raises:
        RevisionNotFoundError: No revision answers to ``at``, or several do.
    """
    life = store.life(collection, job_id, store.resolve(at, collection, job_id), *keys)
    if life is None or life.ended:
        return
    births: set[str] = set()
    while life is not None:
        yield life
        source = _brought_back_from(collection, job_id, life.began)
        if source is None or life.began.id in births:
            return
        births.add(life.began.id)
        try:
            life = store.life(collection, job_id, store.resolve(source, collection, job_id), *keys)
        except RevisionNotFoundError:
            return


def present_life(store: Answers, collection: Collection, job_id: str, at: str | None = None) -> Iterator[Revision]:
    """Yield the revisions of the life that a job has at a revision, newest first. Raises as :func:`lives` does."""
    for life in lives(store, collection, job_id, at):
        yield from store.history(collection, job_id, life.end, until=life.began.id)


def _brought_back_from(collection: Collection, job_id: str, birth: Revision) -> str | None:
    """Return the revision as which a commit brought a deleted job back, or the deletion that it took back."""
    told = birth.message
    ours = told.get(collection.trailer) == job_id and told.get(message.EVENT) in (Event.RESTORED, Event.UNDONE)
    return (told.get(message.SOURCE) or told.get(message.UNDOES) or None) if ours else None
