"""How a transfer goes on, as a bar on a terminal; and what is told of one that is done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitstate.cli.output import clean, is_screen, short

if TYPE_CHECKING:
    from gitstate.store.remote.outcomes import Companion

__all__ = ["companion_json", "companion_lines", "progress"]

_FATES = {
    "sent": "sent",
    "received": "received",
    "kept": "put aside",
    "dropped there": "dropped there as well",
    "dropped here": "dropped here as well",
    "differs": "is another one there; both stay",
    "refused": "was refused",
}


@contextmanager
def progress() -> "Iterator[Callable[[str, int, int | None], None] | None]":
    """Give a function that shows how a transfer goes on; None where nobody watches."""
    if not is_screen(sys.stderr):
        yield None
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(clean(stage), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


def companion_lines(companions: "tuple[Companion, ...]") -> Iterator[str]:
    """Yield a line for each rescue or pin that moved, or could not."""
    for each in companions:
        kind, _, name = each.ref.removeprefix("refs/gitstate/").removeprefix("refs/").partition("/")
        word = "pin" if kind == "tags" else kind
        said = f": {' '.join(each.detail.split())}" if each.detail and each.fate == "refused" else ""
        shown = name if word == "pin" else f"{name.rpartition('/')[0]}/{short(each.revision)}"
        yield f"{word} {shown} {_FATES[each.fate]}{said}"


def companion_json(companions: "tuple[Companion, ...]") -> list[dict[str, Any]]:
    """Return what became of rescues and pins, as JSON."""
    return [
        {"ref": each.ref, "revision": each.revision, "fate": each.fate, "detail": each.detail} for each in companions
    ]
