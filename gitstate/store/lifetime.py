"""How stores end: closed, forgotten, at the end of the program, or left behind in a forked child."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gitstate.engine.base import Engine
    from gitstate.store.exactness import Exactness
    from gitstate.store.index.indexes import Indexes
    from gitstate.store.views import Views
    from gitstate.store.writer import Writer

__all__ = ["note", "shut", "shut_elsewhere"]


class _Open(Protocol):
    def close(self) -> None: ...

    def forked(self) -> None: ...


_open_stores: weakref.WeakSet[_Open] = weakref.WeakSet()


def note(store: _Open) -> None:
    """Let a store that nobody closes be closed when the program ends, and say in a forked child that it is closed."""
    _open_stores.add(store)


def shut(writer: Writer, indexes: Indexes, views: Views, exactness: Exactness, engine: Engine) -> None:
    """Finish all writes, bring the worktree to the head, let go of everything."""
    writer.close()
    views.close()
    indexes.close()
    exactness.write()
    engine.close()


def shut_elsewhere(writer: Writer, indexes: Indexes, views: Views, exactness: Exactness, engine: Engine) -> None:
    """Shut a store that was forgotten, in a thread of its own: garbage is collected in anybody's, under any lock."""
    threading.Thread(target=shut, args=(writer, indexes, views, exactness, engine), name="gitstate-shut").start()


def _at_exit() -> None:
    """Finish the writes of stores that nobody closed, and bring their worktrees to the head."""
    for store in list(_open_stores):
        store.close()


def _after_fork_in_child() -> None:
    for store in list(_open_stores):
        store.forked()


atexit.register(_at_exit)

os.register_at_fork(after_in_child=_after_fork_in_child)
