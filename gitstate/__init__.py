"""A git-backed, versioned state store for resumable jobs.

The names listed in ``__all__`` are the public door; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitstate import errors, rules
    from gitstate.backends.base import StateBackend
    from gitstate.backends.executions import ExecutionRecord
    from gitstate.backends.git import GitStateBackend
    from gitstate.backends.memory import InMemoryStateBackend
    from gitstate.backends.models import CheckpointState, SheetState
    from gitstate.backends.statuses import JobStatus, SheetStatus
    from gitstate.errors import (
        BusyError,
        ClosedError,
        ConflictError,
        GitStateError,
        InvalidInputError,
        JobNotFoundError,
        RevisionNotFoundError,
        StateCorruptionError,
    )
    from gitstate.format.secrets import Redactor
    from gitstate.store.store import Store

__version__ = "0.1.0"

__all__ = [
    "BusyError",
    "CheckpointState",
    "ClosedError",
    "ConflictError",
    "ExecutionRecord",
    "GitStateBackend",
    "GitStateError",
    "InMemoryStateBackend",
    "InvalidInputError",
    "JobNotFoundError",
    "JobStatus",
    "Redactor",
    "RevisionNotFoundError",
    "SheetState",
    "SheetStatus",
    "StateBackend",
    "StateCorruptionError",
    "Store",
    "__version__",
    "errors",
    "rules",
]

# Imported at first use: the command line answers before pydantic and dulwich are read.
_HOMES = {
    "CheckpointState": "gitstate.backends.models",
    "ExecutionRecord": "gitstate.backends.executions",
    "GitStateBackend": "gitstate.backends.git",
    "InMemoryStateBackend": "gitstate.backends.memory",
    "JobStatus": "gitstate.backends.statuses",
    "Redactor": "gitstate.format.secrets",
    "SheetState": "gitstate.backends.models",
    "SheetStatus": "gitstate.backends.statuses",
    "StateBackend": "gitstate.backends.base",
    "Store": "gitstate.store.store",
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "rules"):
        return import_module(f"gitstate.{name}")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "gitstate.errors")), name)
    raise AttributeError(f"module 'gitstate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
