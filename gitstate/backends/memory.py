"""A backend that is gone with the process: for tests, and for jobs that need not survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitstate.backends.syncing import SyncingBackend
from gitstate.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from gitstate.format.secrets import Redactor
    from gitstate.values.merge import Rule

__all__ = ["InMemoryStateBackend"]


class InMemoryStateBackend(SyncingBackend):
    """Keeps states in memory, with the behaviour of :class:`gitstate.GitStateBackend`, history included.

    Args:
        model: The model of the states; :class:`gitstate.CheckpointState` by default.
        artifacts: A workspace and a pattern, from which ``get_next_sheet`` of a job without state is inferred.
        rules: How fields of the model's own are merged, by their pointers.
        redact: Whether credentials are replaced by a mark, or what says which.
    """

    def __init__(
        self,
        *,
        model: type[BaseModel] | None = None,
        artifacts: tuple[str, str] | None = None,
        rules: Mapping[str, Rule] | None = None,
        redact: bool | Redactor = True,
    ) -> None:
        super().__init__(Store.in_memory(), model=model, fallback=artifacts, rules=rules, redact=redact)
