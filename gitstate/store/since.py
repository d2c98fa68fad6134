"""What one of two histories did to documents since it met the other one."""

from functools import cached_property
from typing import NamedTuple

from gitstate.engine import graph
from gitstate.engine.beyond import beyond
from gitstate.engine.objects import ObjectId
from gitstate.format.message import Message
from gitstate.store import walks
from gitstate.store.documents import Collection, Snapshot, WentBack
from gitstate.store.reader import Reader

__all__ = ["Since", "Touched"]


class Touched(NamedTuple):
    """A commit that changed a document, or says so: when it was made, and how far somebody went back with it."""

    id: ObjectId
    time: int
    is_merge: bool
    went_back: WentBack


class Since:
    """The commits that a head has in its history and another one has not, looked at when somebody asks."""

    def __init__(self, reader: Reader, head: ObjectId, other: ObjectId) -> None:
        self.head = head
        self._reader = reader
        self._other = other
        self._touched: dict[str, dict[str, list[Touched]]] = {}  # by collection and document

    @cached_property
    def commits(self) -> list[ObjectId]:
        """The commits, parents before their children."""
        return beyond(self._reader.source, self.head, [self._other])

    def went_back(self, collection: Collection, document: str) -> WentBack:
        """Return how far somebody went back with a document."""
        # By chance the words are in the order of what they mean.
        return max((touched.went_back for touched in self._of(collection, document)), default="")

    def time(self, collection: Collection, document: str) -> int:
        """Return when a document was changed last, in seconds since 1970. A merge is no change of its own."""
        times = [touched.time for touched in self._of(collection, document) if not touched.is_merge]
        return max(times) if times else graph.read(self._reader.source, self.head).committer.time

    def last(self, snapshot: Snapshot) -> ObjectId:
        """Return the commit that made a document what it is at the head."""
        for touched in reversed(self._of(snapshot.collection, snapshot.document)):
            then = self._reader.snapshot(snapshot.collection, snapshot.document, touched.id)
            if then is not None and then.tree == snapshot.tree:
                return touched.id
        return self.head

    def maker(self, snapshot: Snapshot) -> ObjectId:
        """Return the commit that made the value of a document what it is at the head, whatever was attached since."""
        found = self.head
        for touched in reversed(self._of(snapshot.collection, snapshot.document)):
            then = self._reader.snapshot(snapshot.collection, snapshot.document, touched.id)
            if then is None or then.value_id != snapshot.value_id:
                break
            found = touched.id
        return found

    def _of(self, collection: Collection, document: str) -> list[Touched]:
        if collection.name not in self._touched:
            self._touched[collection.name] = self._look(collection)
        return self._touched[collection.name].get(document, [])

    def _look(self, collection: Collection) -> dict[str, list[Touched]]:
        """Return the commits about each document. A merge is about those of which it says that it decided something."""
        found: dict[str, list[Touched]] = {}
        words = f"{collection.trailer}: ".encode()
        for commit_id in self.commits:
            commit = graph.read(self._reader.source, commit_id)
            is_merge = len(commit.parents) > 1
            said = Message.parse(commit.message) if words in commit.message else Message("")
            documents = (
                said.all(collection.trailer) if is_merge else walks.touched(self._reader, collection, commit, said)
            )
            touched = Touched(commit_id, commit.committer.time, is_merge, collection.joining.went_back(said))
            for document in dict.fromkeys(documents):
                found.setdefault(document, []).append(touched)
        return found
