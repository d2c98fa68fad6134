"""Objects that are not published yet, read as if they were."""

from collections.abc import Iterable, Iterator, Sequence

from gitstate.engine.base import Source
from gitstate.engine.objects import GitObject, Kind, ObjectId, Tree, parse_tree

__all__ = ["Staging"]


class Staging(Source):
    """A source with new objects on top of another one."""

    def __init__(self, below: Source, objects: Iterable[GitObject] = ()) -> None:
        self._below = below
        self._objects: dict[ObjectId, GitObject] = {}
        self.add(objects)

    def add(self, objects: Iterable[GitObject]) -> None:
        """Put objects on top."""
        self._objects |= {item.id: item for item in objects}

    @property
    def objects(self) -> Sequence[GitObject]:
        """What was put on top, each once, in the order in which it came."""
        return list(self._objects.values())

    def read(self, object_id: ObjectId, kind: Kind) -> bytes:
        """See :meth:`Source.read`."""
        found = self._objects.get(object_id)
        return found.body if found is not None and found.kind == kind else self._below.read(object_id, kind)

    def read_all(self, ids: Sequence[ObjectId], kind: Kind) -> list[bytes]:
        """See :meth:`Source.read_all`."""
        staged = {each for each in ids if (item := self._objects.get(each)) is not None and item.kind == kind}
        below = [each for each in ids if each not in staged]
        bodies = dict(zip(below, self._below.read_all(below, kind), strict=True)) if below else {}
        return [self._objects[each].body if each in staged else bodies[each] for each in ids]

    def tree(self, tree_id: ObjectId) -> Tree:
        """See :meth:`Source.tree`."""
        found = self._objects.get(tree_id)
        if found is None or found.kind != "tree":
            return self._below.tree(tree_id)
        return found.tree if found.tree is not None else parse_tree(found.body, tree_id)

    def commits(self, start: ObjectId) -> Iterator[tuple[ObjectId, bytes]]:
        """See :meth:`Source.commits`; walks on what is staged are short, and go on below."""
        return iter(()) if start in self._objects else self._below.commits(start)
