"""The graph of forks: lanes begin where a job is newest, and meet where it was forked."""

from datetime import UTC, datetime, timedelta

from gitstate.backends.checkpoints import Checkpoint
from gitstate.backends.forks import Fork
from gitstate.cli.log_graph import graph, jobs_of

START = datetime(2026, 3, 1, tzinfo=UTC)


def job(job_id: str, origin: str | None, at: int | None, start: int | None, *forks: Fork) -> Fork:
    began, revision = (None if minute is None else f"{minute:040}" for minute in (at, start))
    return Fork(job_id, origin, began, revision, None, "running", "0/1", forks)


def history(*minutes: int) -> list[Checkpoint]:
    return [
        Checkpoint(f"{minute:040}", START + timedelta(minutes=minute), "A", "saved", "", None, None, "")
        for minute in minutes
    ]


def drawn(tree: Fork, *histories: list[Checkpoint], lines: bool = True) -> list[str]:
    return [row.lanes for row in graph(list(jobs_of(tree)), histories, lines=lines)]


def test_one_job_is_one_lane() -> None:
    assert drawn(job("a", None, None, None), history(2, 1)) == ["●", "●"]
    assert drawn(job("a", None, None, None), []) == []


def test_a_fork_meets_its_origin_where_it_begins() -> None:
    tree = job("a", None, None, None, job("b", "a", 1, 3))
    assert drawn(tree, history(5, 2, 1), history(4, 3)) == ["●", "│ ●", "│ ●", "● │", "├─╯", "●"]
    tree = job("a", None, None, None, job("b", "a", 2, 3))
    assert drawn(tree, history(2, 1), history(4, 3)) == ["  ●", "  ●", "├─╯", "●", "●"], "its origin ended before"
    assert drawn(tree, history(2, 1), history(4, 3), lines=False) == ["  *", "  *", "|_/", "*", "*"]


def test_lanes_in_between_are_crossed() -> None:
    tree = job("a", None, None, None, job("b", "a", 1, 2), job("c", "a", 3, 4))
    assert drawn(tree, history(3, 1), history(6, 2), history(5, 4)) == [
        "  ●",
        "  │ ●",
        "  │ ●",
        "├─┼─╯",
        "● │",
        "│ ●",
        "├─╯",
        "●",
    ]


def test_two_forks_of_one_checkpoint_meet_it_both() -> None:
    tree = job("a", None, None, None, job("b", "a", 1, 2), job("c", "a", 1, 3))
    assert drawn(tree, history(1), history(2), history(3)) == ["    ●", "  ● │", "├─╯ │", "├───╯", "●"]


def test_a_fork_comes_above_what_it_was_forked_from_whatever_the_clocks_say() -> None:
    tree = job("a", None, None, None, job("b", "a", 7, 1))
    assert drawn(tree, history(7, 2), history(1)) == ["  ●", "├─╯", "●", "●"]


def test_an_id_that_was_used_before_it_was_forked_goes_on_below() -> None:
    tree = job("a", None, None, None, job("b", "a", 3, 4))
    assert drawn(tree, history(5, 3), history(4, 2, 1)) == ["●", "│ ●", "├─╯", "● │", "  ●", "  ●"]


def test_what_a_fork_began_as_may_be_gone() -> None:
    tree = job("a", None, None, None, job("b", "a", 9, 2))
    assert drawn(tree, history(3, 1), history(2)) == ["●", "│ ●", "●"]
