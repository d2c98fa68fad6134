"""Purging: jobs and values that shall be gone from all of a store's history, as if they had never been saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gitstate.backends.documents import check_job_id
from gitstate.backends.rescuing import RescuingBackend
from gitstate.errors import InvalidInputError

if TYPE_CHECKING:
    from gitstate.store.purge_plan import Progress, PurgePlan, PurgeReport, Wanted

__all__ = ["PurgingBackend"]


_ALL = "all"  # kinds of credentials


class PurgingBackend(RescuingBackend):
    """Purges; see docs/how-to/remove-a-secret-from-history.md. A store in memory has no history to purge from."""

    async def plan_purge(
        self,
        jobs: Sequence[str] = (),
        *,
        value: str | None = None,
        pattern: str | None = None,
        kinds: Sequence[str] = (),
        redact: Callable[[bytes], bytes] | None = None,
        progress: Progress | None = None,
    ) -> PurgePlan:
        """Return what :meth:`purge` would do. Nothing is written; neither the plan nor an error tells the value.

        Args:
            jobs: Jobs to remove, with all that is said of them.
            value: A text to erase from all that stays, of four characters or more.
            pattern: A regular expression, as Python's ``re`` has them; what it matches is erased.
            kinds: Kinds of credentials, such as ``github-token``, of which all are erased; ``all`` is every known kind.
            redact: A function that erases: from the bytes of a text to those without it.
            progress: Is told now and then at what the work is, how much of that is done, and of how much.

        Raises:
            JobNotFoundError: One of the jobs is nowhere in the history.
            NotFoundError: Nothing that is to be erased is anywhere.
            InvalidInputError: An argument makes no sense; or what is to be erased stands in the name of a file, a job
                or a ref, or where a job would be none without it.
            ConflictError: A folder that shows the store has edits that nobody committed.
            UnsupportedError: The store is one in memory.
        """
        wanted = self._wanted(jobs, value, pattern, kinds, redact)
        return await asyncio.to_thread(lambda: self._store.purging.plan(wanted, progress))

    async def purge(
        self,
        jobs: Sequence[str] = (),
        *,
        confirm: str,
        value: str | None = None,
        pattern: str | None = None,
        kinds: Sequence[str] = (),
        redact: Callable[[bytes], bytes] | None = None,
        progress: Progress | None = None,
    ) -> PurgeReport:
        """Write all of the history anew without some jobs and values, and remove the old one from the disk.

        What the plan says is done, and nothing else: the arguments are those of :meth:`plan_purge`, and ``confirm`` is
        the token of its answer. Remotes and other clones still have what was purged.

        Raises:
            StaleError: The token is that of another plan, or the store moved since; nothing was written.
            BusyError: Another process writes or does upkeep for too long. If the message says that the store is
                purged, the rest is done by the next purge, or by ``verify(repair=True)``.
            As :meth:`plan_purge` does.
        """
        wanted = self._wanted(jobs, value, pattern, kinds, redact)
        try:
            return await asyncio.to_thread(lambda: self._store.purging.purge(wanted, confirm, progress))
        finally:
            self._payloads.clear()

    def _wanted(
        self,
        jobs: Sequence[str],
        value: str | None,
        pattern: str | None,
        kinds: Sequence[str],
        redact: Callable[[bytes], bytes] | None,
    ) -> Wanted:
        from gitstate.format import erasing
        from gitstate.store.purge_plan import Wanted

        if isinstance(jobs, str):
            raise InvalidInputError("jobs are a list of ids, not one text", hint="put it into brackets")
        documents = tuple(dict.fromkeys(check_job_id(job) for job in jobs))
        erasers = [erasing.of_value(value)] if value is not None else []
        erasers += [erasing.of_pattern(pattern)] if pattern is not None else []
        erasers += [erasing.of_redactor(_redactor(kinds))] if kinds else []
        erasers += [erasing.of_redactor(redact)] if redact is not None else []
        if not documents and not erasers:
            raise InvalidInputError(
                "nothing is named that is to be purged", hint="name jobs, a value, a pattern or a kind"
            )
        return Wanted(self._jobs, documents, erasing.joined(erasers))


def _redactor(kinds: Sequence[str]) -> Callable[[bytes], bytes]:
    """Return what erases credentials of some kinds. Raises InvalidInputError: there is no such kind."""
    from gitstate.format.secrets import KINDS, Redactor

    if isinstance(kinds, str):
        raise InvalidInputError("kinds are a list, not one text", hint="put it into brackets")
    unknown = [kind for kind in kinds if kind not in KINDS and kind != _ALL]
    if unknown:
        raise InvalidInputError(
            f"there is no kind of credentials {unknown[0]!r}", hint=f"{_ALL}, or one of {', '.join(sorted(KINDS))}"
        )
    return Redactor(skip=[] if _ALL in kinds else [kind for kind in KINDS if kind not in kinds]).data
