"""A backend that is gone with the process: for tests, and for jobs that need not survive."""

from pydantic import BaseModel

from gitstate.backends.exchange import ExchangeBackend
from gitstate.backends.models import CheckpointState
from gitstate.store.store import Store

__all__ = ["InMemoryStateBackend"]


class InMemoryStateBackend(ExchangeBackend):
    """Keeps states in memory, with the behaviour of :class:`gitstate.GitStateBackend`, history included.

    Args:
        model: The model of the states.
        artifacts: A workspace and a pattern, from which ``get_next_sheet`` of a job without state is inferred.
    """

    def __init__(self, *, model: type[BaseModel] = CheckpointState, artifacts: tuple[str, str] | None = None) -> None:
        super().__init__(Store.in_memory(), model=model, fallback=artifacts)
