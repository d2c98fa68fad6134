"""How work that takes a while goes on, as a bar on a terminal for each of its stages."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gitstate.cli.output import clean, is_screen

__all__ = ["bar", "progress"]


@contextmanager
def progress(unit: str = "", *, shown: bool = True) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Give a function that shows of a stage how much is done, and of how much; None where nobody watches."""
    if not shown or not is_screen(sys.stderr):
        yield None
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    title, counted = TextColumn("{task.description}", markup=False), TextColumn(clean(unit), markup=False)
    columns = (title, BarColumn(), MofNCompleteColumn(), counted, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(clean(stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


@contextmanager
def bar(title: str, unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """Give what :func:`progress` does, for work of a single stage."""
    with progress(unit, shown=shown) as show:
        yield None if show is None else lambda done, total: show(title, done, total)
