"""A bar on a terminal, for work that takes a while."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gitstate.cli.output import clean, is_screen

__all__ = ["bar"]


@contextmanager
def bar(title: str, unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that shows how much is done, and of how much; None where nobody watches."""
    if not shown or not is_screen(sys.stderr):
        yield None
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(clean(title)), BarColumn(), MofNCompleteColumn(), TextColumn(clean(unit)))
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as shown_bar:
        task = shown_bar.add_task(title, total=None)
        yield lambda done, total: shown_bar.update(task, completed=done, total=total)
