"""Writes docs/reference/cli.md from the commands themselves: ``python -m tests.docs.generate``, or ``make docs``."""

from collections.abc import Iterator

import click

from gitstate.cli.main import cli
from tests.docs.pages import PROJECT

PAGE = PROJECT / "docs" / "reference" / "cli.md"

_HEAD = """\
# Command line

Generated from the commands by `make docs`; a test fails when it is out of date.

Data goes to stdout, and everything else to stderr. The reading verbs print JSON with `--json`. An error is one line
that says what is wrong and, where there is something to do, one line that says what; the exit status tells its class.

`REV` is any of the [names of revisions](revisions.md), and `EXPR` an [expression](expressions.md). A verb that only
reads takes the beginning of a job's id in the place of `JOB` if a single job begins so; one that changes something
takes whole ids.

On a terminal, what is taller than the screen is shown in a pager: that which `GITSTATE_PAGER` names, else `PAGER`, else
`less`. With `cat` or nothing as its name there is none, nor with `gitstate --no-pager VERB`.
"""


def every_command() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield ``gitstate`` and each of its verbs with its full name and a context, 80 columns wide."""
    settings = cli.context_settings | {"terminal_width": 80, "max_content_width": 80}
    top = click.Context(cli, info_name="gitstate", **settings)
    yield "gitstate", cli, top
    for name in cli.list_commands(top):
        command = cli.commands[name]
        yield f"gitstate {name}", command, click.Context(command, info_name=name, parent=top)


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    parts += [
        f"## {name}\n\n```text\n{command.get_help(ctx).rstrip()}\n```\n" for name, command, ctx in every_command()
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
