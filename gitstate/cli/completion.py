"""Completion in the shell: the verb that prints the script, and the values that it offers.

To complete is to look only: nothing in a store is written, mended or waited for, no error shows, and what takes too
long is left out.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from gitstate.cli import stores
from gitstate.cli.output import clean, short

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gitstate.engine.base import Engine
    from gitstate.engine.objects import GitObject, Kind, ObjectId, Tree
    from gitstate.engine.reader import ObjectReader
    from gitstate.engine.repository import Repository
    from gitstate.store.documents import Collection
    from gitstate.store.reader import Reader

__all__ = [
    "at_option",
    "complete_deleted",
    "complete_job",
    "complete_pin",
    "complete_proposal",
    "complete_remote",
    "complete_rescue",
    "complete_revision",
    "complete_status",
    "completion",
]

_INSTRUCTION = "_GITSTATE_COMPLETE"  # click's: the shell that asks, and what for
_TIME_LIMIT = 0.5  # seconds for which the store is read
_NEWEST = 20  # checkpoints of a job that are offered
_RELATIVE = (
    ("~1", "one checkpoint back"),
    ("~2", "two checkpoints back"),
    ("@deleted", "as it was before it was deleted"),
)
_NOT_PLAIN = re.compile(r"([^\w@%+=:,./-])")  # what bash may take for more than a letter

_WHOLE_WORDS = """\
# Bash parts words at : = and @ as well, which ids and revisions hold: put them together again for the function above,
# and give back only what bash replaces, which is all from an @ on, and all behind a : or =.
_gitstate_whole_words() {
    local line=$COMP_LINE part=${COMP_WORDS[COMP_CWORD]} words=() before= word index
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ $index -gt 0 && $line != [[:space:]]* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
            line=${line#"${line%%[![:space:]]*}"}
        fi
        line=${line#"$word"}
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
    _gitstate_completion "$1"
    if [[ $part != "${words[-1]}" ]]; then
        before=${words[-1]%"${words[-1]##*[:=@]}"}
        before=${before%@}
    fi
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -o nosort -F _gitstate_whole_words gitstate
"""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete verbs, options, jobs and revisions.

    \b
    bash: eval "$(gitstate completion bash)" in ~/.bashrc
    zsh:  eval "$(gitstate completion zsh)" in ~/.zshrc, after compinit
    fish: gitstate completion fish >~/.config/fish/completions/gitstate.fish
    """
    from click.shell_completion import get_completion_class

    generator = get_completion_class(shell)
    if generator is not None:  # each of the three has one
        click.echo(generator(ctx.find_root().command, {}, "gitstate", _INSTRUCTION).source())
    if shell == "bash":
        click.echo(_WHOLE_WORDS, nl=False)


def complete_job(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the ids of the jobs of the store that begin so."""
    found: set[str] = set()
    with suppress(Exception), _glance(ctx) as store:
        for place in store.reader.places(store.jobs, store.root):
            found.add(place[0])
    return _items(sorted(found), incomplete)


def complete_status(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001  # click's signature
    """Return the statuses of jobs that begin so."""
    from gitstate.backends.statuses import JobStatus

    return _items([status.value for status in JobStatus], incomplete)


def complete_deleted(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the ids of the jobs that begin so and were deleted, the last one first."""
    from gitstate.store.walks import deleted

    found: list[str] = []
    with suppress(Exception), _glance(ctx) as store:
        for job_id, _revision in deleted(store.reader, store.jobs, store.head):
            found.append(job_id)
    return _items(found, incomplete)


def complete_revision(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return names of revisions of the job that the command line names: relative ones, and its newest checkpoints."""
    from gitstate.store.history import revisions
    from gitstate.store.trails import Trail

    offered = dict(_RELATIVE)
    job_id = _job(ctx)
    with suppress(Exception), _glance(ctx) as store:
        if job_id:
            offered.update(_pins(store, job_id))
            for revision in islice(revisions(store.reader, Trail(store.jobs, job_id, store.head)), _NEWEST):
                offered[short(revision.id)] = clean(revision.message.subject)
    return _items(offered, incomplete, helps=offered)


def complete_pin(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the pins of the job that the command line names: those that may be removed."""
    offered: dict[str, str] = {}
    with suppress(Exception), _glance(ctx) as store:
        offered.update(_pins(store, _job(ctx) or ""))
    return _items(offered, incomplete, helps=offered)


def complete_proposal(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the names of the proposals that begin so."""
    from gitstate.store.proposals import Proposals

    offered: dict[str, str] = {}
    with suppress(Exception), _glance(ctx) as store:
        for branch in Proposals(store.reader.engine, store.reader).all():
            offered[branch.name] = f"at {short(branch.tip)}"
    return _items(offered, incomplete, helps=offered)


def complete_remote(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the names of the remotes that begin so."""
    from gitstate.engine import settings
    from gitstate.engine.repository import open_repository

    offered: list[str] = []
    with suppress(Exception), ctx.scope(cleanup=False):
        path, branch = stores.chosen()
        offered += settings.remotes(open_repository(path, branch=branch, create=False))
    return _items(offered, incomplete)


def complete_rescue(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the names of the rescues that begin so, the newest first."""
    from gitstate.store.rescues import Rescues

    offered: dict[str, str] = {}
    with suppress(Exception), _glance(ctx) as store:
        for rescue in Rescues(store.reader.engine, store.reader, store.jobs).look()[0]:
            offered[rescue.name] = clean(rescue.revision.message.subject)
    return _items(offered, incomplete, helps=offered)


at_option = click.option("--at", metavar="REV", shell_complete=complete_revision, help="As it was at this revision.")
"""The option of the verbs that look at a job as it was."""


def _job(ctx: click.Context) -> str | None:
    """Return the job that the command line names."""
    # Behind an option that has no value yet, click leaves the arguments where they are.
    job_id: str | None = ctx.params.get("job") or next(iter(ctx.args), None)
    return job_id


class _Glance(NamedTuple):
    """A look at a store as it is at this moment."""

    reader: "Reader"
    jobs: "Collection"
    head: "ObjectId"
    root: "ObjectId"


class _Hurried:
    """Reads objects until time is up; in place of an engine, of which a reader of documents only reads."""

    def __init__(self, repository: "Repository", objects: "ObjectReader") -> None:
        self._repository = repository
        self._objects = objects
        self._until = time.monotonic() + _TIME_LIMIT

    def read(self, object_id: "ObjectId", kind: "Kind") -> bytes:
        self._hurry()
        return self._objects.read(object_id, kind)

    def tree(self, tree_id: "ObjectId") -> "Tree":
        self._hurry()
        return self._objects.tree(tree_id)

    def commits(self, start: "ObjectId") -> "Iterator[tuple[ObjectId, bytes]]":
        for each in self._objects.commits(start):
            self._hurry()
            yield each

    def bulk(self, ids: "Sequence[ObjectId]") -> "Iterator[GitObject]":
        for item in self._objects.bulk(ids):
            self._hurry()
            yield item

    def refs(self, below: str) -> list[str]:
        from gitstate.engine import refs

        return list(refs.names(self._repository, below))

    def ref(self, name: str) -> "ObjectId | None":
        from gitstate.engine import refs

        found = refs.read(self._repository, name)
        return None if found is None else self._objects.peel(found)

    def _hurry(self) -> None:
        if time.monotonic() > self._until:
            raise TimeoutError


@contextmanager
def _glance(ctx: click.Context) -> Iterator[_Glance]:
    """Open the store that the command line names, without the backend: nothing is written, and little is imported."""
    from gitstate.backends.collection import JOBS
    from gitstate.engine import graph, refs
    from gitstate.engine.reader import ObjectReader
    from gitstate.engine.repository import open_repository
    from gitstate.store.reader import Reader

    with ctx.scope(cleanup=False):
        path, branch = stores.chosen()
    repository = open_repository(path, branch=branch, create=False)
    objects = ObjectReader(repository)
    try:
        source = cast("Engine", _Hurried(repository, objects))
        head = refs.read(repository, repository.ref) or ""
        yield _Glance(Reader(source), JOBS, head, graph.read(source, head).tree)
    finally:
        objects.close()


def _pins(store: _Glance, job_id: str) -> "Iterator[tuple[str, str]]":
    """Yield the pins of a job, each with what it stands for."""
    from gitstate.store.pins import Pins

    for pin in Pins(store.reader.engine, store.jobs, job_id).all():
        yield pin.name, f"pin of {short(pin.revision)}"


def _items(values: Iterable[str], incomplete: str, *, helps: Mapping[str, str] | None = None) -> "list[CompletionItem]":
    """Return the values that begin so and come through the shell that asks as they are."""
    from click.shell_completion import CompletionItem

    wanted = [value for value in values if value.startswith(incomplete) and _passes(value)]
    return [CompletionItem(_escaped(value), help=(helps or {}).get(value)) for value in wanted]


def _passes(value: str) -> bool:
    """Whether the script of the shell that asks takes a value whole: in fish a comma ends it, in bash the last one."""
    shell = os.environ.get(_INSTRUCTION, "").partition("_")[0]
    cut = (shell == "fish" and "," in value) or (shell == "bash" and value.endswith(","))
    return value.isprintable() and not cut


def _escaped(value: str) -> str:
    r"""Return a value as bash wants it: with a backslash before what it would take for more than a letter.

    The script that reads it takes one of two backslashes away. The other shells do that themselves.
    """
    if not os.environ.get(_INSTRUCTION, "").startswith("bash"):
        return value
    return _NOT_PLAIN.sub(r"\\\1", value).replace("\\", "\\\\")
