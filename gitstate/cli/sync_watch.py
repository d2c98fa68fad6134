"""`gitstate sync --watch`: what is saved here goes there, and the other way round, until Ctrl-C."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from gitstate import clock
from gitstate.cli import stores
from gitstate.cli.output import note
from gitstate.cli.sync import show_sync, sync_json

if TYPE_CHECKING:
    from gitstate.backends.git import GitStateBackend
    from gitstate.store.remote.autosync import SyncAttempt

__all__ = ["watch_remote"]


def watch_remote(
    remote: str, on_conflict: Any, timeout: float, *, delay: float, interval: float, as_json: bool
) -> None:
    """Sync with a remote as often as it is time to, and print what became of each sync that did something.

    Raises:
        NotFoundError: There is no such remote.
    """

    async def work(backend: "GitStateBackend") -> None:
        from gitstate.store.remote.autosync import Autosync
        from gitstate.store.remote.pacing import Pace

        loop, told = asyncio.get_running_loop(), asyncio.Queue["SyncAttempt"]()
        remotes = backend.store.remotes
        await asyncio.to_thread(remotes.find, remote)
        watch = Autosync(
            remote,
            lambda: remotes.sync(remote, on_conflict=on_conflict, timeout=timeout),
            lambda: remotes.is_ahead(remote),
            Pace(delay, interval),
            told=lambda attempt: _hand_on(loop, told, attempt),
        )
        backend.store.sync_with(watch)
        watch.start()
        if not as_json:
            note(f"Syncing with {remote} as jobs are saved here, and every {interval:g} s; Ctrl-C ends it.")
        while True:
            _print(await told.get(), as_json=as_json)

    stores.use(work)


def _hand_on(loop: asyncio.AbstractEventLoop, told: "asyncio.Queue[SyncAttempt]", attempt: "SyncAttempt") -> None:
    """Tell the event loop, from another thread."""
    with suppress(RuntimeError):  # it has ended: Ctrl-C
        loop.call_soon_threadsafe(told.put_nowait, attempt)


def _print(attempt: "SyncAttempt", *, as_json: bool) -> None:
    failure, report = attempt.failure, attempt.report
    if failure is not None:
        if as_json:
            facts = {"error": failure.code, "message": failure.message, "hint": failure.hint}
            click.echo(json.dumps({"time": clock.aware(failure.time).isoformat(), **facts}))
        # Else the log has told, once for each kind of failure.
    elif as_json:
        click.echo(json.dumps(sync_json(report)))
    elif not report.is_up_to_date:
        show_sync(report)
