"""What a purge makes of the refs of a repository: which are moved, which go, and which still hold what is purged."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gitstate.engine import files, refs, removal, roots, settings
from gitstate.engine.git import GitEngine
from gitstate.engine.objects import HEX_ID, GitObject, ObjectId
from gitstate.engine.purging import RefMove
from gitstate.engine.reader import ObjectReader
from gitstate.engine.repository import BRANCHES, OURS, REMOTES, SEEN, TAGS, Repository
from gitstate.engine.rewriting import Rewriting
from gitstate.errors import InvalidInputError
from gitstate.format import names
from gitstate.store import pins, rescues
from gitstate.store.proposals import FOLDER
from gitstate.store.purge_plan import HeldBy, RemoteHolder, Wanted
from gitstate.store.purge_rules import is_named

__all__ = ["PurgedRefs"]

_NOTES = "refs/notes/"
_SIGNATURE = re.compile(rb"^-----BEGIN [A-Z ]*(?:SIGNATURE|MESSAGE)-----$.*", re.DOTALL | re.MULTILINE)
_MANY = 1 << 20  # bytes of a file that is looked into
_LOOKED_AT = ("objects", "refs", "logs", "gitstate", "index", "packed-refs", "worktrees", "info/refs")


class PurgedRefs:
    """Looks at all refs but the branch, once that was rewritten.

    Args:
        engine: Reads them.
        repository: Where they are.
        wanted: What shall be gone.
        rewriting: Rewrites their histories.
    """

    def __init__(self, engine: GitEngine, repository: Repository, wanted: Wanted, rewriting: Rewriting) -> None:
        self.moves: list[RefMove] = []
        self.remotes: tuple[RemoteHolder, ...] = ()
        self.held: list[HeldBy] = []
        self._engine = engine
        self._repository = repository
        self._wanted = wanted
        self._rewriting = rewriting
        self._gone = {names.ref_encode(document) for document in wanted.documents}
        self._pins = tuple(f"{pins.folder(wanted.collection)}{name}/" for name in self._gone)

    def look(self) -> None:
        """Look at all of them.

        Raises:
            InvalidInputError: What is to be erased stands in the name of a ref.
            CorruptionError: A ref or an object cannot be read.
        """
        known = {name: ref for name in sorted(self._engine.refs("refs/")) if (ref := self._standing(name)) is not None}
        self._refuse_named(known)
        later = []
        known.pop(refs.target(self._repository, self._repository.ref), None)
        for name, standing in known.items():
            if self._goes(name):
                self.moves.append(RefMove(name, standing, None))
            elif name.startswith((f"{BRANCHES}{FOLDER}", TAGS, OURS)) and not name.startswith(SEEN):
                self._rewrite(name, standing)
            else:
                later.append((name, standing))
        held = [(name, standing) for name, standing in later if self._holds(name)]
        self.moves += [RefMove(name, at, None) for name, at in held if name.startswith((REMOTES, SEEN))]
        self.remotes = tuple(self._remotes([name for name, _ in held if name.startswith(REMOTES)]))
        for name, _ in held:
            if not name.startswith((REMOTES, SEEN)):
                self.held.append(HeldBy(name, "delete it, or move it to what is rewritten, and purge once more"))
        noted = [name for name, standing in later if name.startswith(_NOTES) and self._is_noted(standing)]
        self.held += [HeldBy(name, "delete it with `git update-ref -d`, and purge once more") for name in noted]
        self.held += self._elsewhere()

    def _standing(self, name: str) -> ObjectId | None:
        """Return the object at which a ref stands itself; None: it is a symbolic one, or gone."""
        if refs.target(self._repository, name) != name:
            return None
        return refs.read(self._repository, name)

    def _refuse_named(self, known: dict[str, ObjectId]) -> None:
        eraser = self._wanted.eraser
        if eraser is None:
            return
        found = [name for name in known if not self._goes(name) and is_named(eraser.in_text, name)]
        if found:
            raise InvalidInputError(
                f"what is to be purged stands in the names of refs, {len(found)} in all, where no mark can stand",
                hint="delete these tags or branches first; `git for-each-ref` lists all",
            )

    def _goes(self, name: str) -> bool:
        """Whether a ref is about a document that goes."""
        if name.startswith(self._pins):
            return True
        for below in (rescues.FOLDER, SEEN):
            if name.startswith(below) and not self._gone.isdisjoint(name.removeprefix(below).split("/")[:-1]):
                return True
        return False

    def _rewrite(self, name: str, standing: ObjectId) -> None:
        commit_id = self._engine.ref(name)
        if commit_id is None or not self._rewriting.meets(commit_id):
            return
        new = self._rewriting.add(commit_id)
        after = new if standing == commit_id else self._tag(standing, new)
        if after == standing:
            return
        folder, _, last = name.rpartition("/")
        if name.startswith(rescues.FOLDER) and last == standing:  # it bears the name of its commit
            self.moves += [RefMove(name, standing, None), RefMove(f"{folder}/{after}", None, after)]
        else:
            self.moves.append(RefMove(name, standing, after))

    def _tag(self, tag_id: ObjectId, commit_id: ObjectId) -> ObjectId:
        """Return what a tag becomes whose commit becomes this one."""
        reader = ObjectReader(self._repository)
        try:
            kind, body = reader.any(tag_id)
        finally:
            reader.close()
        if kind != "tag":
            return commit_id
        header, gap, message = body.partition(b"\n\n")
        named = header.partition(b"\n")[0].removeprefix(b"object ").decode("ascii")
        target = self._tag(named, commit_id)
        eraser = self._wanted.eraser
        rest = header.partition(b"\n")[2]
        told, tagged = (message, rest) if eraser is None else (eraser.message(message), eraser.message(rest))
        if (target, told, tagged) == (named, message, rest):
            return tag_id
        made = b"object " + target.encode() + b"\n" + tagged + gap + _SIGNATURE.sub(b"", told)
        if self._rewriting.sink is not None:
            self._rewriting.sink("tag", made)
        return GitObject("tag", made).id  # type: ignore[arg-type]  # a kind that nothing else of ours writes

    def _holds(self, name: str) -> bool:
        """Whether a history has something that is purged."""
        commit_id = self._engine.ref(name)
        return commit_id is not None and self._is_rewritten(commit_id)

    def _is_noted(self, standing: ObjectId) -> bool:
        """Whether what is to be erased stands in notes, whose history is one of their own."""
        eraser = self._wanted.eraser
        return eraser is not None and removal.holds(
            self._repository, roots.reached(self._repository, [standing]), eraser.message
        )

    def _is_rewritten(self, commit_id: ObjectId) -> bool:
        return self._rewriting.meets(commit_id) and self._rewriting.add(commit_id, keep=False) != commit_id

    def _remotes(self, tracking: list[str]) -> Iterator[RemoteHolder]:
        """Yield all remotes, those first of which it is known that they have it."""
        told = settings.addresses(self._repository)
        branches: dict[str, list[str]] = {name: [] for name in told}
        for ref in tracking:
            short = ref.removeprefix(REMOTES)
            name = max((each for each in told if short.startswith(f"{each}/")), key=len, default=short.split("/")[0])
            branches.setdefault(name, []).append(short[len(name) + 1 :])
        for name in sorted(branches, key=lambda name: (not branches[name], name)):
            yield RemoteHolder(name, told.get(name, ""), tuple(branches[name]))

    def _elsewhere(self) -> Iterator[HeldBy]:
        """Yield what else in the repository still holds what is purged."""
        for git_dir, folder in roots.worktrees(self._repository):
            head = files.read_if_there(git_dir / "HEAD").strip().decode("ascii", "replace")
            if HEX_ID.fullmatch(head) and self._rewriting.meets(head) and self._is_rewritten(head):
                yield HeldBy(f"the worktree {folder or git_dir}, at {head[:12]}", "`git switch` it to a branch")
        if (self._repository.objects / "info" / "alternates").exists():
            yield HeldBy("a repository that this one borrows objects from", "purge there as well")
        for path in self._strays() if self._wanted.eraser is not None else ():
            yield HeldBy(f"the file {path}", "it is not a part of the history: edit it")

    def _strays(self) -> Iterator[Path]:
        """Yield files beside the history that hold what is erased: the configuration, hooks and the like."""
        eraser = self._wanted.eraser
        common = self._repository.common_dir
        for place, folders, found in os.walk(common):
            folders[:] = [each for each in folders if _inner(common, place, each) not in _LOOKED_AT]
            for name in sorted(found):
                path = Path(place) / name
                passed = _inner(common, place, name) in _LOOKED_AT or name in roots.DRAFTS
                if passed or not path.is_file() or path.stat().st_size > _MANY:
                    continue
                data = files.read(path)
                if eraser is not None and eraser.message(data) != data:
                    yield path


def _inner(top: Path, place: str, name: str) -> str:
    return os.path.relpath(os.path.join(place, name), top)
