"""Writes, with ``make docs``, what is generated: cli.md, errors.md, trailers.md and secret-formats.md in docs/reference
from the program itself; measured.md there, and a table of the README, from what was measured.
"""

import inspect
from collections.abc import Iterator

import click

from gitstate import errors
from gitstate.cli.failures import exit_status
from gitstate.cli.main import cli
from gitstate.format import message, secret_formats
from tests.docs import measured
from tests.docs.pages import PROJECT

REFERENCE = PROJECT / "docs" / "reference"

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


_TRAILERS = """\
# Trailers

Generated from the program by `make docs`; a test fails when it is out of date. [Format 1](format-1.md#commits) says how
they are written and read.

A commit of ours says in the last lines of its message what a program may want to know of it. Git shows them
(`git log -1 --format=%B | git interpret-trailers --parse`) and finds them (`git log --grep "^Gitstate-Event: forked"`);
the index finds the revisions of a document by any trailer, ours or others', with its whole value or with any:

```python
from gitstate import GitStateBackend

async def failures(backend: GitStateBackend) -> list[str]:
    return [each.revision for each in await backend.history("nightly", trailer="Gitstate-Failed")]
```

A trailer counts for the job that the commit names, and only if the commit changed that job or recorded something of it.
"""

_EVENTS = """\
## Events
"""


def every_command() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield ``gitstate`` and each of its verbs, and theirs, with its full name and a context, 80 columns wide."""
    settings = {**cli.context_settings, "terminal_width": 80, "max_content_width": 80}
    top = click.Context(cli, info_name="gitstate", **settings)
    yield from _commands(top, "gitstate")


def _commands(context: click.Context, name: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield name, context.command, context
    if isinstance(context.command, click.Group):
        for verb in context.command.list_commands(context):
            inner = click.Context(context.command.commands[verb], info_name=verb, parent=context)
            yield from _commands(inner, f"{name} {verb}")


def commands() -> str:
    """Return the page of the command line."""
    parts = [_HEAD]
    parts += [
        f"## {name}\n\n```text\n{command.get_help(ctx).rstrip()}\n```\n" for name, command, ctx in every_command()
    ]
    return "\n".join(parts)


def trailers() -> str:
    """Return the page of the trailers."""
    rows = [f"| `{each.key}` | {each.form} | {each.says} |" for each in message.TRAILERS]
    events = [f"| `{event.value}` | {says} |" for event, says in message.EVENTS.items()]
    tables = (
        *(_TRAILERS, "| trailer | value | says |", "|---|---|---|", *rows, ""),
        *(_EVENTS, "| event | what happened |", "|---|---|", *events, ""),
    )
    return "\n".join(tables)


_SECRETS = """\
# Formats of credentials

Generated from the program by `make docs`; a test fails when it is out of date. [Secrets](../concepts/secrets.md) says
what becomes of them.

The kind is what stands in a mark: `[redacted: github-token]`. It can be left alone by its name:
`Redactor(skip=["twilio-key"])`.

## Tokens with a beginning of their own
"""

_OTHER_SECRETS = """\
## What is told by its form

Of tokens of GitHub and npm the checksum is looked at, and so they are found in the middle of a word too.
"""


def secrets() -> str:
    """Return the page of the formats of credentials."""
    rows = [
        f"| `{each.kind}` | {each.says} | {', '.join(f'`{head}`' for head in each.heads)} |"
        for each in secret_formats.FORMATS
    ]
    others = [f"| `{kind}` | {says} |" for kind, says in secret_formats.OTHERS.items()]
    tables = (
        *(_SECRETS, "| kind | issuer | begins with |", "|---|---|---|", *rows, ""),
        *(_OTHER_SECRETS, "| kind | what it is |", "|---|---|", *others, ""),
    )
    return "\n".join(tables)


_ERRORS = """\
# Errors

Generated from the program by `make docs`; a test fails when it is out of date.

What gitstate raises on purpose is a `GitStateError`. Its `message` names the thing, its `hint` says what to do or is
empty, and its `code` is a word that stays the same from release to release. The tree says what its catcher would do:

```python
from gitstate import CheckpointState, GitStateBackend, errors

async def saved(backend: GitStateBackend, state: CheckpointState) -> str:
    try:
        await backend.save(state)
    except errors.ConflictError as error:
        return f"not saved: {error.message}; it is kept as {error.rescue}"
    except errors.GitStateError as error:
        return f"{error.code}: {error.message} ({error.hint})"
    return "saved"
```

`gitstate.errors` has all of them, and `gitstate` itself those that are caught most. On the command line an error is one
line and a hint, and `gitstate` ends with the exit status of its branch; [all exit statuses](cli.md#gitstate).

"""

_EACH_ERROR = """
## What each one says

`help(gitstate.errors)` says what the last column holds.

| error | exit status | what happened | what it has beside message, hint and code |
|---|---|---|---|
"""


def all_errors() -> str:
    """Return the page of the errors."""
    told = inspect.cleandoc(errors.__doc__ or "").partition("::\n\n")[2]
    tree = inspect.cleandoc(told)
    rows = [_row(getattr(errors, line.lstrip(" │├└─").split(" ")[0])) for line in tree.splitlines()]
    return f"{_ERRORS}```text\n{tree}\n```\n{_EACH_ERROR}{''.join(rows)}"


def _row(error: type[errors.GitStateError]) -> str:
    said = inspect.cleandoc(error.__doc__ or "").splitlines()[0]
    more = [name for name in inspect.signature(error).parameters if name not in ("message", "hint")]
    more = ["errno", "filename"] if more == ["cause"] else more
    status = exit_status(error("")) if error is not errors.GitStateError else "that of its branch"
    return f"| `{error.__name__}` | {status} | {said} | {', '.join(f'`{name}`' for name in more)} |\n"


PAGES = {
    REFERENCE / "errors.md": all_errors,
    REFERENCE / "cli.md": commands,
    REFERENCE / "trailers.md": trailers,
    REFERENCE / "secret-formats.md": secrets,
    REFERENCE / "measured.md": measured.page,
    PROJECT / "README.md": measured.readme,
}
"""The generated pages, and what makes them."""


if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
