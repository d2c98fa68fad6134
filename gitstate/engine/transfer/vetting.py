"""Judges a history that others sent: all that is new in it must be there, well-made, and harmless on a disk.

What a commit has in common with its parents was looked at with them, so an unchanged folder costs one comparison of two
ids: :mod:`gitstate.engine.transfer.folders` does that for a stretch of commits at a time.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gitstate.engine.check import commit_faults
from gitstate.engine.garbage import uncollected
from gitstate.engine.limits import Limits
from gitstate.engine.objects import ObjectId, name_text
from gitstate.engine.transfer.arrivals import Arrivals, Read
from gitstate.engine.transfer.findings import Findings, unreadable
from gitstate.engine.transfer.folders import Commit, Folder, Folders, distinct
from gitstate.values.nesting import is_deeper

__all__ = ["Owned", "vet"]

Owned = Callable[[str], bool]
"""Whether a path is a file of a document."""

_STRETCH = 8192  # commits
_BATCH = 50_000  # files
_ID = rb"[0-9a-f]{40}"
_LINKS = re.compile(  # as it must be by what `check` says of a commit
    rb"tree (%s)\n((?:parent %s\n)*)author ([^\n]*)\ncommitter [^\n]*\n(?!author |committer )" % (_ID, _ID)
)


def vet(
    arrivals: Arrivals,
    tips: Sequence[ObjectId],
    known: Sequence[ObjectId],
    owned: Owned,
    limits: Limits,
    objects: int,
    findings: Findings,
) -> None:
    """Check all that commits have in their history and known ones have not.

    Args:
        arrivals: Reads what arrived.
        tips: The commits.
        known: Commits that nobody doubts, with all that they reach.
        owned: Tells which files are documents.
        limits: What is taken in.
        objects: How many objects arrived.
        findings: Is told what is wrong.

    Raises:
        UntrustedError: So much is wrong that nobody should look further.
    """
    _Vetting(arrivals, owned, limits, objects, findings).run(tips, known)


class _File(NamedTuple):
    """A file that is new: where it was met, and whether it is a JSON file of a document there."""

    path: bytes
    commit: Commit
    is_document: bool


class _Vetting:
    def __init__(self, arrivals: Arrivals, owned: Owned, limits: Limits, objects: int, findings: Findings) -> None:
        self._arrivals = arrivals
        self._owned = owned
        self._limits = limits
        self._findings = findings
        self._folders = Folders(arrivals, limits, objects, findings)
        self._trees: dict[ObjectId, bytes] = {}  # of commits that were looked at

    def run(self, tips: Sequence[ObjectId], known: Sequence[ObjectId]) -> None:
        found = self._arrivals.new_commits(tips, known)
        for commit_id, (reason, child) in found.missing.items():
            place = f"the parent {commit_id[:12]} of {child[:12]}" if child else f"revision {commit_id[:12]}"
            item = self._read(commit_id)
            what = reason if item is None else self._fault(item)
            self._findings.add("commit", place, what or reason, child or commit_id)
        for start in range(0, len(found.ids), _STRETCH):
            with uncollected():
                commits = list(self._commits(found.ids[start : start + _STRETCH]))
                self._files(self._folders.judge(commits))

    def _commits(self, ids: Sequence[ObjectId]) -> Iterator[Commit]:
        """Yield the commits that lead to a tree, and judge them all."""
        raw = [bytes.fromhex(commit_id) for commit_id in ids]
        for commit_id, item in zip(ids, self._arrivals.read(raw, "commit", self._limits.commit_bytes), strict=True):
            links = _LINKS.match(item[2]) if item is not None and item[0] == "commit" else None
            if item is None or links is None or b"\0" in item[2]:
                commit = Commit(commit_id, links[3] if links else b"", b"", ())
                self._findings.add("commit", f"revision {commit_id[:12]}", self._fault(item), commit_id, commit.author)
            if links is not None:
                tree = self._trees[commit_id] = bytes.fromhex(links[1].decode("ascii"))
                parents = links[2].decode("ascii").split()[1::2]
                # The tree of a parent that cannot be read is another problem.
                bases = distinct([self._trees.get(parent) or self._tree_of(parent) for parent in parents])
                yield Commit(commit_id, links[3], tree, bases)

    def _fault(self, item: Read | None) -> str:
        """Return what is wrong with a commit, or nothing."""
        if item is None or item[0] != "commit" or item[1] > self._limits.commit_bytes:
            return unreadable(item, "commit", self._limits.commit_bytes)
        if b"\0" in item[2]:
            return "it holds a NUL byte, after which git shows nothing of it"
        return "" if _LINKS.match(item[2]) else next(commit_faults(item[2]))[0]

    def _read(self, commit_id: ObjectId) -> Read | None:
        return self._arrivals.read_one(commit_id, "commit", self._limits.commit_bytes)

    def _tree_of(self, commit_id: ObjectId) -> bytes | None:
        item = self._read(commit_id)
        links = _LINKS.match(item[2]) if item is not None and item[0] == "commit" else None
        if links is None:
            return None
        tree = self._trees[commit_id] = bytes.fromhex(links[1].decode("ascii"))
        return tree

    def _files(self, roots: Sequence[Folder]) -> None:
        """Judge the files that differ in a stretch of commits, each once, at the first place that asks most of it."""
        files: dict[bytes, _File] = {}
        for root in roots:
            for path, blob in self._folders.changed(root):
                met = files.get(blob)
                if met is None or not met.is_document:
                    is_document = path.endswith(b".json") and self._owned(name_text(path))
                    if met is None or is_document:
                        files[blob] = _File(path, root.commit, is_document)
            if len(files) > _BATCH:
                self._judge(files)
                files.clear()
        self._judge(files)

    def _judge(self, files: Mapping[bytes, _File]) -> None:
        limits, to_read = self._limits, []
        for (blob, file), fact in zip(files.items(), self._arrivals.facts(list(files)), strict=True):
            longest = limits.document_bytes if file.is_document else limits.object_bytes
            if fact is None or fact[0] != "blob" or fact[1] > longest:
                self._say(file, unreadable(fact, "file", longest))
            elif file.is_document and fact[1] > limits.nesting:
                to_read.append(blob)
        for blob, item in zip(to_read, self._arrivals.read(to_read, "blob", limits.document_bytes), strict=True):
            if item is None:
                self._say(files[blob], unreadable(item, "file", 0))
            elif is_deeper(item[2], limits.nesting):
                what = f"objects and lists lie in one another more than {limits.nesting} levels deep"
                self._say(files[blob], what)

    def _say(self, file: _File, what: str) -> None:
        self._findings.add_file("file", file.path, what, file.commit.id, file.commit.author)
