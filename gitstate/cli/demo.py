"""The verb ``demo``: where it works, what it shows while it works, and how it ends."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gitstate.cli.output import clean, is_screen
from gitstate.errors import ExistsError

__all__ = ["demo"]


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Work in this new or empty folder.  [default: a temporary one]",
)
@click.option(
    "--pace",
    type=click.FloatRange(0.05, 10),
    default=0.15,
    show_default=True,
    metavar="SECONDS",
    help="Rest so long within each sheet, so that there is something to watch and to kill.",
)
def demo(folder: Path | None, into: Path | None, pace: float) -> None:
    """Watch a real job being saved to git, killed, resumed and finished.

    The job indexes the terms of the text files in FOLDER (this project's own documents by default). It runs in a
    process of its own and is killed with SIGKILL in the middle of a sheet. The demo ends with status 0 only if the job
    resumed at that sheet, did no finished sheet again, and was recovered from its reports after its state was deleted.
    """
    from gitstate.cli import demo_work
    from gitstate.cli.demo_play import Play

    root, files = demo_work.sources(folder)
    place = _workplace(into)
    play = Play(place, folder, root, demo_work.plan(files), pace)
    try:
        play.run(_progress)
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. What the demo left lies in {clean(place)}.", err=True)
        raise
    if play.failures:
        click.echo(f"\nFAILED: {play.failures} of the checks above. What the demo left lies in {clean(place)}.")
        click.get_current_context().exit(1)
    store = shlex.quote(str(play.store))
    click.echo("\nAll of this happened, and every line marked ok was checked. To look further:\n")
    gitstate = "gitstate" if shutil.which("gitstate") else sys.argv[0]  # `make demo` runs it where no PATH leads
    for command in (f"git -C {store} log --patch", f"{gitstate} --store {store} list", f"ls {play.reports}"):
        click.echo(f"  {clean(command)}")
    click.echo(f"\nThe files stay in {clean(place)}; remove that folder when you have seen enough.")


def _workplace(into: Path | None) -> Path:
    if into is None:
        return Path(tempfile.mkdtemp(prefix="gitstate-demo-"))
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ExistsError(f"{str(into)!r} is there already", hint="name a new or an empty folder")
    into.mkdir(parents=True, exist_ok=True)
    return into.absolute()


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[str, int], None]]:
    """Give a function that shows what a sheet does: a progress bar on a terminal, a line each elsewhere."""
    if not is_screen(sys.stdout):
        yield lambda event, number: click.echo(f"  sheet {number} of {total} {event}")
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("  {task.description:<20}"), BarColumn(), MofNCompleteColumn(), TextColumn("sheets done"))
    with Progress(*columns, console=Console(highlight=False)) as bar:
        task = bar.add_task("starting", total=total, completed=done)

        def show(event: str, number: int) -> None:
            bar.update(task, description=f"sheet {number} {event}", advance=event == "completed")

        yield show
