"""Checks what commits reach: every object is there, is what its id says, and is made as git makes it.

The rules are those of ``git fsck --strict``: https://git-scm.com/docs/git-fsck.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitstate.engine import files
from gitstate.engine.base import Engine
from gitstate.engine.gitindex import is_safe
from gitstate.engine.objects import RAW_DIRECTORIES, RAW_SUBMODULE, Kind, ObjectId, RawEntry, name_text, raw_entries
from gitstate.errors import CorruptionError

__all__ = ["ObjectCheck", "Problem", "Severity", "commit_faults", "pack_problems", "tree_faults"]

Severity = Literal["error", "warning"]
"""``error``: something is lost or wrong. ``warning``: something is odd, or left behind, and nothing is lost."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    ``kind`` is a word for programs, ``place`` says where, ``what`` what is wrong, ``hint`` what to do about it.
    ``revision`` is the commit that made it so and ``author`` who made that, where it is a person's work.
    """

    kind: str
    place: str
    what: str
    hint: str = ""
    severity: Severity = "error"
    repaired: bool = False
    revision: str = ""
    author: str = ""


_MODES = {b"100644", b"100755", b"120000", b"40000", b"160000"}
_OLD_MODES = {b"040000", b"100664"}  # git reads them, and no longer writes them
_NO_ID = bytes(20)

_ID = rb"[0-9a-f]{40}"
_WHO = rb"[^<>\n]* <[^<>\n]*> (?:0|[1-9][0-9]{0,18}) [+-][0-9]{4}\n"
_HEADERS = re.compile(
    rb"(tree %s\n(?:parent %s\n)*)author [^\n]*\ncommitter [^\n]*\n(?!author |committer )" % (_ID, _ID)
)
_SIGNED = re.compile(rb"(?:[^\n]*\n)+?author %scommitter %s" % (_WHO, _WHO))

_LOST = "fetch it from another copy of the repository; `git fsck` tells more"
_MADE_WRONG = "another program wrote it; `git fsck --strict` tells more"


class ObjectCheck:
    """Looks at everything that commits reach, at each object once, however often it is asked for.

    Args:
        engine: Reads the objects. What it remembers says nothing about the disk, so it should be a fresh one.
    """

    def __init__(self, engine: Engine) -> None:
        self.problems: list[Problem] = []
        self._engine = engine
        self._seen: dict[Kind, set[bytes]] = {"commit": set(), "tree": set(), "blob": set()}
        self._names: set[bytes] = set()  # that were found good

    @property
    def commits(self) -> int:
        """How many commits were looked at."""
        return len(self._seen["commit"])

    @property
    def objects(self) -> int:
        """How many objects were looked at, commits among them."""
        return sum(map(len, self._seen.values()))

    def reach(self, start: ObjectId, name: str) -> None:
        """Check a commit, which ``name`` stands at, and all that it reaches."""
        pending = [(bytes.fromhex(start), name)]
        while pending:
            commit_id, place = pending.pop()
            body = self._read(commit_id, "commit", place)
            if body is None:
                continue
            place = f"revision {commit_id.hex()[:12]}"
            for fault, severity in commit_faults(body):
                self.problems.append(Problem("commit", place, fault, _MADE_WRONG, severity))
            headers = _HEADERS.match(body)
            if headers is not None:
                tree, *parents = [bytes.fromhex(line[-40:].decode()) for line in headers[1].splitlines()]
                self._reach_tree(tree, place)
                pending += [(parent, f"the parent of {place}") for parent in reversed(parents)]

    def _reach_tree(self, root: bytes, revision: str) -> None:
        trees, blobs = self._seen["tree"], self._seen["blob"]
        pending = [("", root)]
        while pending:
            path, tree_id = pending.pop()
            place = f"{path or 'the top'} at {revision}"
            body = self._read(tree_id, "tree", place)
            if body is None:
                continue
            entries = raw_entries(body)
            for fault, severity in _faults(entries, body, self._names):
                self.problems.append(Problem("tree", place, fault, _MADE_WRONG, severity))
            for mode, name, object_id in entries:
                if (
                    object_id in (trees if mode in RAW_DIRECTORIES else blobs)
                    or mode == RAW_SUBMODULE
                    or object_id == _NO_ID
                ):
                    continue
                inner = f"{path}/{name_text(name)}" if path else name_text(name)
                if mode in RAW_DIRECTORIES:
                    pending.append((inner, object_id))
                else:
                    self._read(object_id, "blob", f"{inner} at {revision}")

    def _read(self, object_id: bytes, kind: Kind, place: str) -> bytes | None:
        """Return the body of an object that was not looked at yet; None if it was, or cannot be read."""
        if object_id in self._seen[kind]:
            return None
        self._seen[kind].add(object_id)
        try:
            return self._engine.read(object_id.hex(), kind)
        except CorruptionError as error:
            self.problems.append(Problem("object", place, error.message, error.hint or _LOST))
            return None


def tree_faults(body: bytes) -> Iterator[tuple[str, Severity]]:
    """Yield what is wrong with the body of a tree."""
    return _faults(raw_entries(body), body, set())


def _faults(entries: list[RawEntry], body: bytes, good: set[bytes]) -> Iterator[tuple[str, Severity]]:
    """Yield what is wrong with a tree; ``good`` are names that are known as such, and learns new ones."""
    modes, names, ids = zip(*entries, strict=True) if entries else ((), (), ())
    if len(b"".join(modes)) + len(b"".join(names)) + 22 * len(entries) != len(body):
        yield "its bytes are no tree", "error"
    keys = [name + b"/" if mode in RAW_DIRECTORIES else name for mode, name in zip(modes, names, strict=True)]
    if keys != sorted(keys):
        yield "its entries are not in git's order", "error"
    different = set(names)
    if len(different) != len(names):
        yield "a name is there twice", "error"
    for name in sorted(different - good):
        if b"/" in name or not is_safe(name_text(name)):
            yield f"no file can have the name {name_text(name)!r}", "error"
        else:
            good.add(name)
    for mode in sorted(set(modes) - _MODES):
        yield f"an entry has the mode {mode.decode()}", "warning" if mode in _OLD_MODES else "error"
    if _NO_ID in ids:
        yield "an entry stands for no object", "error"


def commit_faults(body: bytes) -> Iterator[tuple[str, Severity]]:
    """Yield what is wrong with the body of a commit."""
    if not _HEADERS.match(body):
        yield "its headers are not tree, parents, author and committer in this order", "error"
    elif not _SIGNED.match(body):
        yield "its author or committer is written in a way that git does not write", "warning"
    if b"\0" in body:
        yield "it holds a NUL byte", "warning"


def pack_problems(folder: Path) -> Iterator[Problem]:
    """Yield the packs in ``objects/pack`` of which a byte is not as it was written.

    They may hold what nothing reaches, or what another pack has too; git would copy the damage on.
    """
    for index in sorted(folder.glob("*.idx")):
        pack = index.with_suffix(".pack")
        try:
            whole = [files.is_sound_file(os.fspath(path)) for path in (pack, index)]
        except FileNotFoundError:
            if index.exists():  # else somebody's git repacked meanwhile
                yield Problem("pack", f"objects/pack/{pack.name}", "it is missing, and its index is there", _LOST)
            continue
        for path, is_whole in zip((pack, index), whole, strict=True):
            if not is_whole:
                yield Problem("pack", f"objects/pack/{path.name}", "it is not as it was written", _LOST)
