"""The command ``gitstate``: its global options, its verbs, and how a run ends.

Nothing heavy is imported here or by the modules of the verbs: ``gitstate --help`` answers before pydantic, dulwich and
rich are read. A verb imports its own module and not those of others.
"""

import gc
import importlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

import click

import gitstate
from gitstate.cli import failures, stores
from gitstate.cli.output import clean
from gitstate.cli.verbs import HIDDEN, SECTIONS

__all__ = ["cli", "main"]

_GARBAGE = 50_000  # so many more objects before cycles are looked for: a short run never makes them

_VERBS = {verb: place for section in SECTIONS.values() for verb, (place, _) in section.items()} | HIDDEN


class _Verbs(Mapping[str, click.Command]):
    """The verbs; the module of one is imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = _VERBS[name].split(".")
        found: click.Command = getattr(importlib.import_module(f"gitstate.cli.{module}"), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_VERBS)

    def __len__(self) -> int:
        return len(_VERBS)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader went away (`| head`). What is still buffered goes nowhere, or the interpreter would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(failures.BROKEN_PIPE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        width = max(len(verb) for verbs in SECTIONS.values() for verb in verbs)
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), summary) for verb, (_, summary) in verbs.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit status"):
            formatter.write_dl(failures.exit_table())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(self.commands)  # section by section, where click would sort them


@click.group(
    cls=_Group,
    commands=_Verbs(),
    invoke_without_command=True,  # `cli` itself says then what there is
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@stores.store_options
@click.option("--no-pager", is_flag=True, help="Show what is taller than the screen without a pager.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(gitstate.__version__, prog_name="gitstate", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, no_pager: bool, debug: bool) -> None:
    """A git-backed, versioned state store for resumable jobs.

    Each job is a folder of JSON files in an ordinary git repository, and every save is a commit. The verbs below look
    at such a store; plain git works on it as well. `gitstate VERB --help` explains one.
    """
    settings = ctx.ensure_object(stores.Settings)
    settings.debug, settings.pager = debug, not no_pager
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(failures.exit_status(click.UsageError("no verb")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit status; the arguments are the process's by default."""
    gc.set_threshold(_GARBAGE)
    status = run(arguments)
    gc.freeze()  # the system takes it all back: the interpreter need not look for cycles once more
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    _prepare_streams()
    settings = stores.Settings()
    try:
        status = cli.main(arguments, prog_name="gitstate", standalone_mode=False, obj=settings)
    except click.Abort:
        return failures.INTERRUPTED
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the end of the line: everything becomes an exit status
        return failures.report(error, debug=settings.debug)
    return status if isinstance(status, int) else 0


class _Lines(logging.Handler):
    """Warnings of the library as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {clean(record.getMessage())}", err=True)


def _prepare_streams() -> None:
    # A stream that the caller closed (`>&-`) is None: what would go there goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # open as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115  # as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character gets its escape
    logger = logging.getLogger("gitstate")
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines(logging.WARNING))


if __name__ == "__main__":
    main()
