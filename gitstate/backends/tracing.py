"""Who set a value of a job, and since when something holds: blame and bisect, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from gitstate.backends.checkpoints import Checkpoint, own_revision
from gitstate.errors import InvalidInputError, NotFoundError
from gitstate.store import tracing
from gitstate.store.documents import Collection, Revision
from gitstate.store.store import Store
from gitstate.values import pointer
from gitstate.values.conditions import Place
from gitstate.values.expression import Expression
from gitstate.values.shape import Slot, Value

__all__ = ["Bisection", "Blame", "Predicate", "Setting", "bisect", "blame"]

Predicate: TypeAlias = str | Callable[[Mapping[str, Any]], bool]
"""What is asked of the plain value of a job: an expression, or a function that must not change the value."""


@dataclass(frozen=True)
class Setting:
    """A checkpoint that set a value, and the value; ABSENT: it removed it."""

    checkpoint: Checkpoint
    value: Slot


@dataclass(frozen=True)
class Blame:
    """The checkpoints that set what stands at a place of a job (a JSON pointer), the newest first. There is one."""

    job_id: str
    pointer: str
    settings: tuple[Setting, ...]

    @property
    def value(self) -> Slot:
        """What stands there."""
        return self.settings[0].value


@dataclass(frozen=True)
class Bisection:
    """The first checkpoint at which something holds, or None, and the last one ``before`` it at which it did not.

    ``looked_at`` says how many checkpoints were looked at, of which the found one is the last; and ``never`` which
    places of the expression were there at none of these: a misspelt name, or a text without quotes.
    """

    job_id: str
    found: Checkpoint | None
    before: Checkpoint | None
    looked_at: int
    never: tuple[str, ...] = ()


def blame(store: Store, jobs: Collection, job_id: str, place: str, at: str | None) -> Blame:
    """Return who set what stands at a place of a job.

    Raises:
        InvalidInputError: The place is none.
        JobNotFoundError: There never was such a job.
        NotFoundError: Nothing ever stood there.
        RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
    """
    parts = pointer.read(place) if isinstance(place, str) else None
    if parts is None:
        raise InvalidInputError(f"a place is a text, not {place!r}", hint="write /sheets/3/status")
    found = tuple(
        Setting(Checkpoint.of(job_id, revision), slot)
        for revision, slot in tracing.blame(store, jobs, job_id, parts, at)
    )
    if not found:
        own_revision(store, jobs, job_id, at)
        raise NotFoundError(
            f"nothing ever stood at {pointer.to_text(parts)} of job {job_id!r}",
            hint="`gitstate show --json` shows which there are"
            + ("; a * stands for itself here" if "*" in place else ""),
        )
    return Blame(job_id, pointer.to_text(parts), found)


def bisect(store: Store, jobs: Collection, job_id: str, predicate: Predicate, at: str | None) -> Bisection:
    """Return the first checkpoint of a job at which a predicate holds.

    Raises:
        InvalidInputError: The predicate is no function, or a text that is no expression.
        JobNotFoundError: There never was such a job.
        RevisionNotFoundError: No revision answers to ``at``, or several do, or the job was not there yet.
    """
    if not isinstance(predicate, str) and (not callable(predicate) or iscoroutinefunction(predicate)):
        raise InvalidInputError(
            f"a predicate is an expression or a plain function, not {predicate!r}",
            hint="write sheets.3.attempt_count > 2",
        )
    expression = Expression.parse(predicate) if isinstance(predicate, str) else None
    missing = set(expression.places if expression is not None else ())

    def holds(value: dict[str, Value]) -> bool:
        missing.difference_update([place for place in missing if _is_there(place, value)])
        return bool(predicate(value)) if callable(predicate) else expression is not None and expression.holds(value)

    places = None if expression is None else expression.places
    found = tracing.first(store, jobs, job_id, holds, places, at)
    if not found.looked_at:
        own_revision(store, jobs, job_id, at)
    never = tuple(pointer.to_text(place) for place in places or () if place in missing)
    return Bisection(
        job_id, _checkpoint(job_id, found.found), _checkpoint(job_id, found.before), found.looked_at, never
    )


def _checkpoint(job_id: str, revision: Revision | None) -> Checkpoint | None:
    return None if revision is None else Checkpoint.of(job_id, revision)


def _is_there(place: pointer.Parts, value: dict[str, Value]) -> bool:
    return any(slot is not None for slot in Place(place).slots(value))
