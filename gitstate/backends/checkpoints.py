"""Checkpoints: the revisions of a job, in the words of its users."""

from dataclasses import dataclass
from datetime import datetime

from gitstate.format import message
from gitstate.format.message import Event
from gitstate.store.documents import Revision

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """A revision of a job: its commit id, when (UTC) and by whom, and what the commit says.

    ``event`` is one of :class:`gitstate.format.message.Event`, or ``edited`` for a commit that somebody made with git;
    ``status`` and ``progress`` (``"2/10"``) are the job's after it; ``message`` is the body of the commit's message.
    """

    revision: str
    time: datetime
    author: str
    event: str
    subject: str
    status: str | None
    progress: str | None
    message: str

    @classmethod
    def of(cls, job_id: str, revision: Revision) -> "Checkpoint":
        """Return what a revision says of a job; what it says of another job does not count."""
        said = revision.message
        ours = said.get(message.JOB) == job_id
        return cls(
            revision=revision.id,
            time=revision.time,
            author=revision.author,
            event=(said.get(message.EVENT) if ours else None) or Event.EDITED.value,
            subject=said.subject,
            status=said.get(message.STATUS) if ours else None,
            progress=said.get(message.PROGRESS) if ours else None,
            message=said.body,
        )
