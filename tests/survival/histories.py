"""Histories of calls by many processes, and what must hold of them whatever their order was."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Call", "check"]


class Call(NamedTuple):
    """A call and its answer.

    ``kind`` is ``add`` (one more to a counter) or ``read`` (``seen`` is what all counters held).
    ``begin`` and ``end`` are of a clock that all processes share.
    """

    who: str
    kind: str
    begin: int
    end: int
    counter: str = ""
    seen: Mapping[str, int] = {}


def check(calls: Iterable[Call], final: Mapping[str, int], commits: int) -> list[str]:
    """Return what is wrong: acknowledged additions that are lost or doubled, and reads of what never was.

    Args:
        calls: All calls that were answered.
        final: What the counters hold at the end.
        commits: How many commits there are of additions.
    """
    every = sorted(calls, key=lambda call: call.end)
    adds = [call for call in every if call.kind == "add"]
    wrong = []
    if commits != len(adds):
        wrong.append(f"{len(adds)} additions were acknowledged, {commits} commits are there")
    for counter in {call.counter for call in adds} | final.keys():
        count = sum(call.counter == counter for call in adds)
        if final.get(counter, 0) != count:
            wrong.append(f"{counter} is {final.get(counter, 0)} in the end, after {count} additions")
    wrong += [fault for call in every if call.kind == "read" for fault in _judge_read(call, adds)]
    return wrong + _judge_order([call for call in every if call.kind == "read"])


def _judge_read(read: Call, adds: Sequence[Call]) -> Iterable[str]:
    for counter, seen in read.seen.items():
        least = sum(add.counter == counter and add.end < read.begin for add in adds)
        most = sum(add.counter == counter and add.begin < read.end for add in adds)
        if not least <= seen <= most:
            yield f"{read.who} read {counter} as {seen} when it was from {least} to {most}"


def _judge_order(reads: Sequence[Call]) -> list[str]:
    """Look for reads of one process that go back."""
    wrong = []
    last: dict[tuple[str, str], int] = {}
    for read in reads:
        for counter, seen in read.seen.items():
            if seen < last.get((read.who, counter), 0):
                wrong.append(f"{read.who} read {counter} as {seen} after {last[read.who, counter]}")
            last[read.who, counter] = seen
    return wrong
