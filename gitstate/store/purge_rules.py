"""What becomes of each commit of a store from which something is purged."""

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import unquote

from gitstate.engine import trees
from gitstate.engine.objects import ObjectId, name_text
from gitstate.engine.retree import TreeRewriter
from gitstate.engine.rewriting import Rules, Told
from gitstate.errors import CorruptionError, GitStateError, InvalidInputError
from gitstate.format.unnamed import unnamed
from gitstate.format.version import MAX_FANOUT
from gitstate.store.purge_plan import Wanted
from gitstate.store.reader import Reader

__all__ = ["PurgeRules", "is_named"]

_LISTED = 5  # so many documents are named in an error


class PurgeRules:
    """The rules of a purge.

    Args:
        reader: Reads the trees.
        wanted: What shall be gone.
    """

    def __init__(self, reader: Reader, wanted: Wanted) -> None:
        self.met: set[str] = set()
        """The documents that shall go and that messages are about."""
        self.forks: set[str] = set()
        """Others that were forked from one of them."""
        self._reader = reader
        self._wanted = wanted

    def rules(self) -> Rules:
        """Return them as they are asked for when a history is rewritten."""
        eraser = self._wanted.eraser
        if eraser is None:
            return Rules(self._paths, self._message)
        found = eraser

        def named(name: bytes) -> bool:
            return is_named(found.in_text, name_text(name))

        return Rules(self._paths, self._message, found.message, found.file, named)

    def purged(self, rewritten: TreeRewriter) -> list[str]:
        """Return the documents that go and were anywhere in what was rewritten, in their order."""
        return [each for each in self._wanted.documents if each in self.met or self._was_removed(rewritten, each)]

    def refuse_unreadable(self, commit_id: ObjectId, rewritten: TreeRewriter) -> None:
        """Raise InvalidInputError if a document of a commit would not be one any more."""
        eraser, collection = self._wanted.eraser, self._wanted.collection
        broken: list[str] = []
        for snapshot in self._reader.documents(collection, commit_id) if eraser is not None else ():
            if not rewritten.is_changed(snapshot.tree) or snapshot.document in self._wanted.documents:
                continue
            try:
                snapshot.value()
            except CorruptionError:
                continue  # it is none now
            contents = ((path, snapshot.read(path) or b"") for path in snapshot.files() if collection.layout.owns(path))
            files = {path: eraser.file(data) for path, data in contents} if eraser is not None else {}
            try:
                value = collection.layout.join(files)
                collection.check(value)
                if value.get(collection.id_field) != snapshot.document:
                    raise CorruptionError("it does not say which document it is")
            except (GitStateError, RecursionError):
                broken.append(snapshot.document if eraser is None else eraser.replace(snapshot.document))
        if broken:
            more = f" and {len(broken) - _LISTED} more" if len(broken) > _LISTED else ""
            raise InvalidInputError(
                f"without that, these could no longer be read: {', '.join(map(repr, broken[:_LISTED]))}{more}",
                hint="say more narrowly what is to be purged; it also stands where only certain values may",
            )

    def folders(self) -> Iterator[str]:
        """Yield all places at which the documents that go may lie, with any fanout."""
        for document in self._wanted.documents:
            for fanout in range(MAX_FANOUT + 1):
                yield self._wanted.collection.folder(document, fanout)

    def _was_removed(self, rewritten: TreeRewriter, document: str) -> bool:
        places = (self._wanted.collection.folder(document, fanout) for fanout in range(MAX_FANOUT + 1))
        return any(rewritten.removed[place] for place in places)

    def _paths(self, root: ObjectId, before: Sequence[str] | None) -> Sequence[str]:
        """Return where the documents that go lie in a root tree; where that does not say, where they lay before."""
        if not self._wanted.documents:
            return ()
        try:
            fanout = self._reader.format(root).fanout
        except GitStateError:
            if trees.read(self._reader.source, root):
                return before or tuple(self._wanted.collection.folder(each, 0) for each in self._wanted.documents)
            return ()
        return tuple(self._wanted.collection.folder(each, fanout) for each in self._wanted.documents)

    def _message(self, data: bytes, changed: bool) -> Told:
        documents, eraser = self._wanted.documents, self._wanted.eraser
        may_go = False
        if documents:
            told = unnamed(data, self._wanted.collection.trailer, documents)
            self.met |= told.named
            self.forks |= {told.fork} - {""}
            data, may_go = told.message, (changed or bool(told.named)) and not told.others
        return Told(data if eraser is None else eraser.message(data), may_go)


def is_named(in_text: Callable[[str], bool], name: str) -> bool:
    """Whether the name of a file or a ref holds something, as it is or as an id is written there."""
    return in_text(name) or ("%" in name and in_text(unquote(name, errors="surrogateescape")))
