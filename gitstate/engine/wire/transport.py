"""Talks to another repository: lists its refs, fetches from it, pushes to it; see `docs/design/0012-transport.md`.

Nothing here touches a store: what arrives is handed on as it comes, and what goes was put together by others.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gitstate.engine.objects import ObjectId
from gitstate.engine.transfer.outgoing import PackSource
from gitstate.engine.wire import addresses, conversation
from gitstate.engine.wire.channel import HungUpError
from gitstate.engine.wire.connections import Stop
from gitstate.engine.wire.conversation import BELOW, Advertisement, RefUpdate
from gitstate.engine.wire.credentials import Credentials
from gitstate.engine.wire.pktlines import Progress, Reporter, SpeechError
from gitstate.engine.wire.remote_words import RemoteFailedError, Said, is_too_large, of_words, visible
from gitstate.engine.wire.sessions import Service, Session, open_session
from gitstate.errors import InvalidInputError, SyncError, TooLargeError, UnreachableError

__all__ = ["MOVED", "Outgoing", "Progress", "Pushed", "RefUpdate", "Transport"]

MOVED = "moved"
"""The reason of a ref that was not where it was expected to be when the remote said where it is."""

_LONGEST = 1_000_000.0  # seconds, eleven days: the system counts milliseconds, up to a number
_LATER = "try again; what is here stays"


class Outgoing(NamedTuple):
    """What a push sends. ``pack`` None: the remote has all objects already. It is closed after the push."""

    updates: Sequence[RefUpdate]
    pack: PackSource | None


class Pushed(NamedTuple):
    """What became of a push."""

    refs: Mapping[str, ObjectId]
    """Where the remote's refs were before."""
    rejected: Mapping[str, str]
    """The refs that did not move, and why."""


class Transport:
    """One remote. No connection is kept between calls, which all may be stopped from another thread.

    Beside what its methods say they raise UnsupportedError where the user's own configuration cannot be read, and where
    something shall be pushed to a path and there is no git here.

    Args:
        url: Its address; see :mod:`gitstate.engine.wire.addresses`.
        timeout: Seconds that it may take to be connected to, and be silent each time.

    Raises:
        InvalidInputError: The address is none.
    """

    odd: tuple[str, ...]
    """Names of refs that the remote had in the last call and that cannot be had here, as they may be shown."""
    said: list[str]
    """What the remote told people in the last call, lines without control characters."""
    head: str | None
    """The branch that the remote's HEAD pointed to in the last call; None: it did not say."""
    takes_thin: bool
    """Whether the remote takes packs with deltas against objects that it has; told before a push is planned."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        if not timeout > 0:
            raise InvalidInputError(f"{timeout!r} is no number of seconds to wait", hint="such as 60")
        self._address = addresses.parse(url)
        self._timeout = min(timeout, _LONGEST)
        self._credentials = Credentials()
        self._stop = Stop()
        self._forget()

    @property
    def name(self) -> str:
        """The address as it may be shown: without password."""
        return self._address.shown

    def refs(self) -> Mapping[str, ObjectId]:
        """Return the remote's refs: ``HEAD``, branches, tags (of an annotated one its own id) and those of gitstate.

        Raises:
            SyncError: Or one of its kinds.
            ClosedError: It was closed.
        """
        with self._talking("git-upload-pack") as (session, _):
            found = self._listen(session)
            session.leave()
        return found.refs

    def fetch(
        self,
        choose: Callable[[Mapping[str, ObjectId]], Sequence[ObjectId]],
        haves: Sequence[ObjectId],
        write: Callable[[bytes], object],
        progress: Progress | None = None,
    ) -> Mapping[str, ObjectId]:
        """Fetch the history of some of the remote's commits, as one pack.

        Args:
            choose: Gives, for the refs that the remote has, the ids that are wanted; none: nothing is fetched.
            haves: Commits whose histories are here; a few, such as where the remote was seen last.
            write: Takes the pack, piece by piece. It may be thin. What this raises ends the conversation.
            progress: Is told how far it is: ``counting``, ``compressing`` (objects), ``receiving`` (bytes).

        Returns:
            The remote's refs.

        Raises:
            SyncError: Or one of its kinds. What was written so far is no whole pack.
            ClosedError: It was closed.
        """
        with self._talking("git-upload-pack") as (session, said):
            found = self._listen(session)
            ids = choose(found.refs)
            if not ids:
                session.leave()
                return found.refs
            if unknown := set(ids) - set(found.refs.values()):
                raise InvalidInputError(f"{self.name} has no ref at {min(unknown)}", hint="ask for what it has")
            if found.is_shallow:
                raise SyncError(f"{self.name} is a shallow clone", hint="`git fetch --unshallow` there makes it whole")
            asking = conversation.wants(found, ids, haves, quiet=progress is None)
            reporter = Reporter(progress)
            conversation.receive_pack(session.ask(lambda: [asking], len(asking)), write, said, reporter)
            reporter.end()
        return found.refs

    def push(
        self, plan: Callable[[Mapping[str, ObjectId]], Outgoing | None], progress: Progress | None = None
    ) -> Pushed:
        """Move refs of the remote, forward or to be gone, never by force.

        Args:
            plan: Says, for the refs that the remote has, what shall move and which objects that takes; None: nothing.
            progress: Is told how far it is: ``sending`` (bytes), ``resolving`` (objects).

        Returns:
            Which refs did not move, and why: they had moved (:data:`MOVED`; nothing is sent for those), or the remote
            gave a reason, and may have told more in :attr:`said`.

        Raises:
            SyncError: Or one of its kinds. If the connection broke, the remote may have taken it nevertheless.
            ClosedError: It was closed.
        """
        with self._talking("git-receive-pack") as (session, said):
            found = self._listen(session)
            outgoing = plan(found.refs)
            if outgoing is None:
                session.leave()
                return Pushed(found.refs, {})
            try:
                return Pushed(found.refs, self._push(session, found, outgoing, said, progress))
            finally:
                if outgoing.pack is not None:
                    outgoing.pack.close()

    def close(self) -> None:
        """Stop what is under way, from any thread, and let nothing begin. Idempotent."""
        self._stop.set()

    def _push(
        self, session: Session, found: Advertisement, outgoing: Outgoing, said: Said, progress: Progress | None
    ) -> dict[str, str]:
        updates, rejected = _sort_out(found, outgoing.updates)
        if not updates:
            session.leave()
            return rejected
        reporter = Reporter(progress)
        asking = conversation.commands(found, updates, quiet=progress is None)
        takes_pack = any(update.new is not None for update in updates)
        request, size = _request(asking, outgoing.pack if takes_pack else None, takes_pack, reporter)
        answer = session.ask(request, size)
        reporter.end()
        failed = conversation.report(answer, found, [update.name for update in updates], said, reporter)
        reporter.end()
        if failed and any(map(is_too_large, [*failed.values(), *said.lines])):
            raise of_words(self.name, "\n".join([*said.lines, *set(failed.values())]))
        return rejected | failed

    def _listen(self, session: Session) -> Advertisement:
        found = conversation.listen(session.stream, BELOW)
        self.odd, self.head = found.odd, found.head
        self.takes_thin = "no-thin" not in found.abilities
        return found

    @contextmanager
    def _talking(self, service: Service) -> Iterator[tuple[Session, Said]]:
        """Begin a conversation, end it, and say what is wrong where something is."""
        self._forget()
        said = Said()
        session: Session | None = None
        failed = True
        try:
            session = open_session(self._address, service, self._credentials, self._stop, self._timeout)
            yield session, said
            failed = False
        except RemoteFailedError as error:
            raise of_words(self.name, str(error) or "\n".join(said.lines)) from None
        except HungUpError:
            words = (session.last_words() if session else "") or "\n".join(said.lines)
            known = of_words(self.name, words)
            if type(known) is not SyncError or words:
                raise known from None
            raise UnreachableError(f"{self.name} hung up in the middle", hint=_LATER) from None
        except SpeechError as error:
            words = visible(session.last_words() if session else "")
            more = f" ({words})" if words else ""
            raise SyncError(
                f"{self.name} does not answer as a git server does: {error}{more}", hint="correct the address"
            ) from None
        except TooLargeError as error:
            raise TooLargeError(f"{self.name}: {error.message}", hint=error.hint) from None
        finally:
            said.end()
            self.said = said.lines
            if session is not None:
                session.close(failed=failed)

    def _forget(self) -> None:
        self.odd, self.said, self.head, self.takes_thin = (), [], None, True


def _sort_out(found: Advertisement, updates: Sequence[RefUpdate]) -> tuple[list[RefUpdate], dict[str, str]]:
    """Return what is to be asked for, and what cannot be, with the reasons."""
    asked: list[RefUpdate] = []
    rejected: dict[str, str] = {}
    for update in updates:
        if not conversation.is_ref_name(update.name) or not update.name.startswith(BELOW):
            raise InvalidInputError(f"{update.name!r} is no ref that is pushed", hint=f"those are below {BELOW}")
        now = found.refs.get(update.name)
        if now != update.expected:
            rejected[update.name] = MOVED
        elif update.new is None and "delete-refs" not in found.abilities:
            rejected[update.name] = "the remote lets nobody remove refs"
        elif now != update.new:
            asked.append(update)
    return asked, rejected


def _request(
    asking: bytes, pack: PackSource | None, takes_pack: bool, reporter: Reporter
) -> tuple[Callable[[], Iterable[bytes]], int | None]:
    """Return a request with its pack, and its size if that is known."""
    if not takes_pack:
        return lambda: [asking], len(asking)
    if pack is None:
        return lambda: [asking, conversation.EMPTY_PACK], len(asking) + len(conversation.EMPTY_PACK)
    size = None if pack.path is None else os.stat(pack.path).st_size

    def parts() -> Iterator[bytes]:
        yield asking
        sent = 0
        for chunk in pack.chunks():
            yield chunk
            sent += len(chunk)
            reporter("sending", sent, size)

    return parts, None if size is None else len(asking) + size
