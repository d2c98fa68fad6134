"""Reviews of proposals as people read them: on a terminal, and as Markdown that fits a comment of a pull request."""

from collections.abc import Iterator

import click

from gitstate.backends.proposals import Problem, Proposal
from gitstate.backends.reviewing import Moved, ProposalReview
from gitstate.cli.diff_markdown import Block, code, diff_blocks, page
from gitstate.cli.diff_text import print_diff, told
from gitstate.cli.output import counted, moment, print_fields, print_table, short

__all__ = ["print_review", "review_page"]

_VERDICTS = {
    "applicable": "can be applied",
    "contained": "nothing to apply: it is empty, or all that it changes is in the store's history",
    "moved": "cannot be applied: what it relied on is no longer so",
    "invalid": "cannot be applied: a job would not be right",
    "busy": "cannot be applied without --force: it changes a job as a whole that is running here",
}
_MOVED = ("job", "place", "relied on", "wanted", "now", "by")


def print_review(review: ProposalReview) -> None:
    """Print a review: the proposal and the verdict, then what moved, what is not right, and the changes job by job."""
    print_fields(list(_facts(review)))
    if review.moved:
        click.echo("\nwhat it relied on, and is no longer so")
        print_table(_MOVED, [_moved_row(each) for each in review.moved])
    if review.problems:
        click.echo("\nwhat would not be right")
        print_table(("job", "what"), [_problem_row(each) for each in review.problems])
    for diff in review.jobs:
        click.echo()
        print_fields([("job", diff.after.job_id)])
        print_diff(diff)
    for diff in review.outdated:
        click.echo()
        print_fields([("job", f"{diff.after.job_id}, as it was when the proposal began")])
        print_diff(diff)
    if review.files:
        click.echo("\nother files")
        print_table(("path",), [(path,) for path in review.files])


def review_page(review: ProposalReview) -> str:
    """Return a review as Markdown."""
    return page(_blocks(review))


def _blocks(review: ProposalReview) -> Iterator[Block]:
    facts = [f"- {name}: {code(text)}" for name, text in _facts(review) if text and name not in ("proposal", "verdict")]
    yield Block(f"## Proposal {code(review.proposal.name)}\n\n**{_VERDICTS[review.state]}**\n", facts)
    if review.moved:
        head = "**What it relied on, and is no longer so**\n\n| " + " | ".join(_MOVED) + " |\n|" + "---|" * len(_MOVED)
        yield Block(head, [f"| {' | '.join(map(code, _moved_row(each)))} |" for each in review.moved])
    if review.problems:
        rows = [": ".join(map(code, filter(None, _problem_row(each)))) for each in review.problems]
        yield Block("**What would not be right**\n", [f"- {row}" for row in rows])
    for diff in review.jobs:
        yield from diff_blocks(diff)
    for diff in review.outdated:
        yield Block(f"**Job {code(diff.after.job_id)} moved since; this is what was proposed to what it was then**")
        yield from diff_blocks(diff)
    if review.files:
        yield Block("**Other files**\n", [f"- {code(path)}" for path in review.files])


def _facts(review: ProposalReview) -> Iterator[tuple[str, str]]:
    proposal = review.proposal
    yield "proposal", proposal.name
    yield "verdict", _VERDICTS[review.state]
    yield "commits", _commits(proposal)
    yield (
        "begun at",
        "" if proposal.base is None else f"{short(proposal.base)}, {counted(proposal.behind, 'commit')} ago",
    )
    yield "reviewed at", short(review.head)
    yield "running", ", ".join(review.running)
    yield "not shown", f"{', '.join(review.unread)}: a state cannot be read" if review.unread else ""


def _commits(proposal: Proposal) -> str:
    if not proposal.ahead:
        return ""
    return f"{proposal.ahead}, the last {short(proposal.revision)} by {proposal.author}, {moment(proposal.time)}"


def _moved_row(moved: Moved) -> tuple[str, ...]:
    who = moved.checkpoint
    by = "" if who is None else f"{short(who.revision)}, {who.author}: {who.subject}"
    return moved.job_id or "", moved.place or "the state", told(moved.relied), told(moved.wanted), told(moved.now), by


def _problem_row(problem: Problem) -> tuple[str, str]:
    return problem.job_id or "", problem.text
