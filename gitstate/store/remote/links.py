"""A link to a remote: its address, what was seen of it last, and calls that the end of the store ends."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from gitstate.engine import graph, threads
from gitstate.engine.base import Engine
from gitstate.engine.beyond import is_in_history
from gitstate.engine.objects import ObjectId
from gitstate.engine.remotes import Remote, tracking
from gitstate.engine.repository import Repository
from gitstate.engine.wire.addresses import shown
from gitstate.engine.wire.transport import Progress, Transport
from gitstate.errors import ClosedError, ReadOnlyError, StaleError
from gitstate.store.documents import Collection
from gitstate.store.reader import Reader
from gitstate.store.remote.companions import Companions
from gitstate.store.writer import Writer

__all__ = ["Link", "Parts", "attended"]

T = TypeVar("T")

_LOOK_EVERY = 0.2  # seconds between two looks whether the store was closed
_LONGEST_END = 1.0  # seconds that such a call may take to end then
_GENERATIONS = 256  # of commits before the head, of which some are named to a remote that was never seen
_ATTEMPTS = 5  # to note where a remote's branch stands, while others do


@dataclass(frozen=True)
class Parts:
    """What a store is made of, as far as it talks to others. ``stop`` is set when the store is about to be closed."""

    engine: Engine
    repository: Repository
    reader: Reader
    writer: Writer
    collections: Mapping[str, Collection]
    stop: threading.Event


class Link:
    """One remote of a store, for one run.

    Args:
        parts: The store.
        remote: The remote; one without a name is an address that somebody gave, and nothing is remembered of it.
        timeout: Seconds for which it may keep silent.
        progress: Is told how a transfer goes on.
    """

    def __init__(self, parts: Parts, remote: Remote, *, timeout: float, progress: Progress | None = None) -> None:
        self.parts = parts
        self.name = remote.name or shown(remote.url)
        self.ref = parts.repository.ref
        self.progress = progress
        self.companions = Companions(parts.engine, remote.name, parts.collections.values())
        self._tracking = f"{tracking(remote.name)[0]}{parts.repository.branch}" if remote.name else ""
        self.fetching = Transport(remote.url, timeout=timeout)
        self.pushing = Transport(remote.push_url, timeout=timeout)

    @property
    def branch(self) -> str:
        """The remote's branch as people call it: ``main of origin``."""
        return f"the branch {self.parts.repository.branch} of {self.name}"

    def settle(self) -> None:
        """Finish the writes that wait, and bring back what commits of people took back without meaning to."""
        self.parts.writer.drain()
        with suppress(ReadOnlyError):  # then nobody could commit either
            self.parts.writer.follow()

    def check_open(self) -> None:
        """Raise ClosedError if the store is about to be closed."""
        if self.parts.stop.is_set():
            raise _stopped()

    def pause(self, seconds: float) -> None:
        """Wait; raises as :meth:`check_open` does."""
        self.parts.stop.wait(seconds)
        self.check_open()

    def call(self, work: Callable[[], T]) -> T:
        """Do what talks to the remote, in a thread of its own, which ends when the store is closed."""
        self.check_open()

        def end() -> None:
            self.fetching.close()
            self.pushing.close()

        return attended(work, self.parts.stop, end)

    def seen(self) -> ObjectId | None:
        """Return where the remote's branch stood when it was seen last."""
        return self.parts.engine.ref(self._tracking) if self._tracking else None

    def note(self, tip: ObjectId, why: str) -> None:
        """Remember where the remote's branch stands; somebody else who saw it later is right."""
        engine = self.parts.engine
        for attempt in range(_ATTEMPTS if self._tracking else 0):
            seen = self.seen()
            if seen == tip or (attempt and seen is not None and is_in_history(engine, tip, seen)):
                return
            try:
                engine.move_ref(self._tracking, expected=seen, new=tip, note=why)
            except StaleError:
                continue
            except ReadOnlyError:  # a store that can only be read can be pushed for all that
                return
            return

    def is_same(self, tip: ObjectId | None) -> bool | None:
        """Whether the remote's branch, which stands at ``tip``, goes on where it was seen last; None: it cannot be
        told before it is fetched.
        """
        seen = self.seen()
        if tip is None or seen is None or tip == seen:
            return tip is not None and tip == seen
        if self.parts.engine.peeled(tip) is None:
            return None
        return is_in_history(self.parts.engine, seen, tip)

    def haves(self, head: ObjectId) -> list[ObjectId]:
        """Return commits that the remote may have, few: from the newest to the oldest."""
        seen = self.seen()
        found = [head] if seen is None else [seen, head]
        if seen is None:
            line = [head]
            while len(line) < _GENERATIONS and (parents := graph.read(self.parts.engine, line[-1]).parents):
                line.append(parents[0])
            found += [line[2**power] for power in range(len(line).bit_length()) if 2**power < len(line)]
        return list(dict.fromkeys(found))

    def known(self, ids: Iterable[ObjectId]) -> list[ObjectId]:
        """Return those of some commits that are here."""
        return [each for each in ids if self.parts.engine.peeled(each) == each]


def attended(work: Callable[[], T], stop: threading.Event, end: Callable[[], None]) -> T:
    """Do what may wait for a remote, in a thread of its own; when somebody says stop it is ended, and left alone.

    Where no thread is to be had, it is done in this one, and ends by itself.

    Raises:
        ClosedError: Somebody did. All other errors are those of the work.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whatever it was belongs to the caller
            done.set_exception(error)

    thread = threads.started(run, "gitstate-remote")
    if thread is None:
        return work()
    try:
        while not done.done():
            wait([done], _LOOK_EVERY)
            if stop.is_set():
                raise _stopped()
    except BaseException:  # such as the KeyboardInterrupt of a program that goes on after it
        end()
        thread.join(_LONGEST_END)
        raise
    return done.result()


def _stopped() -> ClosedError:
    return ClosedError("it was ended before both sides had the same", hint="the next one goes on from there")
