"""What is said to a git server: which refs it has, fetch, push (https://git-scm.com/docs/gitprotocol-pack).

The first version of the protocol, which needs the fewest round trips: the server begins with all its refs. There is
no negotiation; what is said to be here, a few commits, is said at once.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from gitstate.engine.objects import NO_ID, ObjectId
from gitstate.engine.repository import BRANCHES, OURS, TAGS
from gitstate.engine.wire import pktlines
from gitstate.engine.wire.pktlines import FLUSH, Readable, Reporter, SpeechError
from gitstate.engine.wire.remote_words import RemoteFailedError, Said, visible
from gitstate.errors import TooLargeError

__all__ = [
    "BELOW",
    "EMPTY_PACK",
    "Advertisement",
    "RefUpdate",
    "commands",
    "is_ref_name",
    "listen",
    "receive_pack",
    "report",
    "wants",
]

BELOW = (BRANCHES, TAGS, OURS)
"""Where refs are looked at. Forges keep others by the hundred thousand, such as one or two for each pull request."""

EMPTY_PACK = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")

_AGENT = "agent=git/gitstate"
_ID = re.compile(rb"[0-9a-f]{40}")
_ODD = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|[/.]\Z|[^/]{256}|\A(?!refs/.)")
_LONGEST = 1000  # bytes of a name, of which file systems take 255 between slashes
_MOST_REFS = 200_000
_MOST_BYTES = 1 << 28  # of all that a server says before it is asked anything
_MOST_ODD = 100
_MOST_REPORT = 1 << 25
_UNPACKER = "unpacker error"  # what git says of each ref where it did not take the objects
_MOST_SHARED = 10_000  # lines that say which commits both sides have


class RefUpdate(NamedTuple):
    """A ref that shall move. None: it is not there, or shall go."""

    name: str
    expected: ObjectId | None
    new: ObjectId | None


class Advertisement(NamedTuple):
    """What a server begins with."""

    refs: dict[str, ObjectId]
    """``HEAD`` and the refs that are looked at. Of a tag it is the tag's own id."""
    odd: tuple[str, ...]
    """Names that no repository here can have, at most 100, as they may be shown."""
    abilities: frozenset[str]
    head: str | None
    """What ``HEAD`` points to, if it says."""
    is_shallow: bool


def listen(stream: Readable, below: tuple[str, ...] = BELOW) -> Advertisement:
    """Read which refs a server has.

    Raises:
        TooLargeError: They are more than anybody has.
        RemoteFailedError: It says that it cannot.
        SpeechError, HungUpError: It is no git server, or stopped in the middle.
    """
    refs: dict[str, ObjectId] = {}
    odd: list[str] = []
    abilities: frozenset[str] | None = None
    is_shallow, size = False, 0
    for line in pktlines.lines(stream):
        size += len(line)
        if len(refs) > _MOST_REFS or size > _MOST_BYTES:
            raise TooLargeError(
                f"the remote has more than {_MOST_REFS:,} refs, or names without end", hint="it has too many to follow"
            )
        if line.startswith(b"ERR "):
            raise RemoteFailedError(visible(line[4:].decode("utf-8", "replace")))
        if line.startswith(b"shallow "):
            is_shallow = True
            continue
        told, _, rest = line.removesuffix(b"\n").partition(b"\0")
        if abilities is None:
            abilities = frozenset(rest.decode("utf-8", "replace").split())
            if told.startswith(b"version "):
                raise SpeechError(f"it speaks another version of git's protocol than it was asked for: {told[:20]!r}")
        object_id, space, name = told[:40], told[40:41], told[41:]
        if not _ID.fullmatch(object_id) or space != b" " or not name:
            raise SpeechError(f"it says {line[:60]!r} where a ref belongs")
        if name.endswith(b"^{}") or name == b".have":
            continue  # the commit that a tag is of, or nothing; a commit that it has from elsewhere
        _sort_in(name, object_id.decode("ascii"), below, refs, odd)
    abilities = abilities or frozenset()
    if (kind := _of(abilities, "object-format=")) not in {None, "sha1"}:
        raise SpeechError(f"its objects are named by {kind}, ours by sha1")
    heads = {each.partition(":")[0]: each.partition(":")[2] for each in _all_of(abilities, "symref=")}
    head = heads.get("HEAD", "")
    return Advertisement(refs, tuple(odd), abilities, head if is_ref_name(head) else None, is_shallow)


def is_ref_name(name: str) -> bool:
    """Whether a text can be the full name of a ref, here and in a request."""
    try:
        return not _is_odd(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def wants(advertisement: Advertisement, ids: Sequence[ObjectId], haves: Sequence[ObjectId], quiet: bool) -> bytes:
    """Return the request to be sent these commits, without what is here already."""
    asked = ["side-band-64k", "thin-pack", "ofs-delta", *(["no-progress"] if quiet else [])]
    abilities = [each for each in asked if each in advertisement.abilities] + [_AGENT]
    if "side-band-64k" not in abilities:
        raise SpeechError("it has no channels (side-band-64k): it is too old")
    unique = list(dict.fromkeys(ids))
    first, *others = [f"want {each}" for each in unique]
    lines = [f"{first} {' '.join(abilities)}", *others]
    asking = b"".join(pktlines.line(each.encode("ascii") + b"\n") for each in lines)
    having = b"".join(pktlines.line(b"have %b\n" % each.encode("ascii")) for each in dict.fromkeys(haves))
    return asking + FLUSH + having + pktlines.line(b"done\n")


def receive_pack(stream: Readable, write: Callable[[bytes], object], said: Said, progress: Reporter) -> None:
    """Hand over the pack that answers :func:`wants`, as it comes. Raises as :func:`pktlines.sideband` does."""
    received = 0
    for data in pktlines.sideband(_Skipping(stream), said, progress):
        write(data)
        received += len(data)
        progress("receiving", received, None)
    said.end()
    if not received:
        raise SpeechError("it sent nothing")


class _Skipping:
    """A stream without the lines that say which commits both sides have: of those we said, we know it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._begun = b""
        self._skipped = False

    def read(self, size: int, /) -> bytes:
        """See :class:`Readable`."""
        if not self._skipped:
            self._skipped = True
            for _ in range(_MOST_SHARED):
                data = pktlines.read(self._stream)
                if data is None or not data.startswith((b"ACK ", b"NAK")):
                    break
            else:
                raise SpeechError("it does not come to the pack")
            self._begun = FLUSH if data is None else pktlines.line(data)
        taken, self._begun = self._begun[:size], self._begun[size:]
        return taken + self._stream.read(size - len(taken)) if len(taken) < size else taken


def commands(advertisement: Advertisement, updates: Iterable[RefUpdate], quiet: bool) -> bytes:
    """Return the request to move refs; a pack follows, unless all of them shall go."""
    asked = ["report-status", "side-band-64k", *(["quiet"] if quiet else [])]
    abilities = [each for each in asked if each in advertisement.abilities] + [_AGENT]
    if "report-status" not in abilities:
        raise SpeechError("it does not say what became of a push (report-status)")
    lines: list[bytes] = []
    for name, expected, new in updates:
        told = f"{expected or NO_ID} {new or NO_ID} ".encode("ascii") + os.fsencode(name)
        lines.append(pktlines.line(told if lines else told + b"\0 " + " ".join(abilities).encode("ascii")))
    return b"".join(lines) + FLUSH


def report(
    stream: Readable, advertisement: Advertisement, names: Sequence[str], said: Said, progress: Reporter
) -> dict[str, str]:
    """Read what became of a push; return the refs that did not move, with the reasons.

    Raises:
        RemoteFailedError: The remote gave up; ``said`` has its words.
        SpeechError, HungUpError: It said nothing that can be understood: nobody knows what became of it.
    """
    if "side-band-64k" in advertisement.abilities:
        gathered = bytearray()
        for data in pktlines.sideband(stream, said, progress):
            gathered += data
            if len(gathered) > _MOST_REPORT:
                raise SpeechError("its report does not end")
        stream = _Bytes(bytes(gathered))
    outcomes = _outcomes(pktlines.lines(stream), frozenset(names))
    said.end()
    unpacked = outcomes.pop("", "it did not say what became of the objects")
    if unpacked:
        told = {name: reason for name, reason in outcomes.items() if reason != _UNPACKER}  # that tells no reason
        return {name: told.get(name) or f"the objects were not taken: {unpacked}" for name in names}
    return {name: reason for name in names if (reason := outcomes.get(name, "it said nothing of this ref"))}


def _outcomes(lines: Iterator[bytes], names: Collection[str]) -> dict[str, str]:
    """Return what a report says of some refs; empty: it moved. Under "" is what became of the objects."""
    found: dict[str, str] = {}
    size = 0
    for line in lines:
        size += len(line)
        if size > _MOST_REPORT:
            raise SpeechError("its report does not end")
        what, _, rest = line.rstrip(b"\n").partition(b" ")
        told, _, reason = rest.partition(b" ")
        name = os.fsdecode(told)
        if what == b"unpack":
            found[""] = "" if rest == b"ok" else visible(rest.decode("utf-8", "replace")) or "no reason given"
        elif what not in {b"ok", b"ng", b"option"}:
            raise SpeechError(f"it says {line[:60]!r} where a report belongs")
        elif what == b"ok" and name in names:
            found.setdefault(name, "")
        elif what == b"ng" and name in names:
            found[name] = visible(reason.decode("utf-8", "replace")) or "no reason given"
    return found


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def read(self, size: int, /) -> bytes:
        """See :class:`Readable`."""
        taken, self._data = self._data[:size], self._data[size:]
        return bytes(taken)


def _sort_in(
    name: bytes, object_id: ObjectId, below: tuple[str, ...], refs: dict[str, ObjectId], odd: list[str]
) -> None:
    text = os.fsdecode(name)
    if text == "HEAD":
        refs.setdefault(text, object_id)
    elif text.startswith("refs/") and not text.startswith(below):
        return  # by far the most, where there are many
    elif not _is_odd(name) and text not in refs:
        refs[text] = object_id
    elif len(odd) < _MOST_ODD:
        odd.append(visible(name[:_LONGEST].decode("utf-8", "replace")))


def _is_odd(name: bytes) -> bool:
    return len(name) > _LONGEST or _ODD.search(name) is not None


def _of(abilities: Iterable[str], prefix: str) -> str | None:
    return next(iter(_all_of(abilities, prefix)), None)


def _all_of(abilities: Iterable[str], prefix: str) -> list[str]:
    return [each.removeprefix(prefix) for each in abilities if each.startswith(prefix)]
