"""What the verbs that ask other repositories share: how long they wait, and what they tell of rescues and pins."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gitstate.cli.output import short

if TYPE_CHECKING:
    from gitstate.store.remote.outcomes import Companion

__all__ = ["companion_json", "companion_lines", "timeout_option"]

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the remote says nothing for so long.",
)

_FATES = {
    "sent": "sent",
    "received": "received",
    "kept": "put aside",
    "dropped there": "dropped there as well",
    "dropped here": "dropped here as well",
    "differs": "is another one there; both stay",
    "refused": "was refused",
}


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
