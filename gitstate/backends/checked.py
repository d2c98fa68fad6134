"""Which stored values are states, so that a write of one sheet need not validate the others again."""

from collections import OrderedDict
from threading import Lock

__all__ = ["Checked"]

_MOST = 4096  # ids


class Checked:
    """The ids of values that were validated lately; bounded, and safe to use from any thread.

    Can observe drafts, those of values that were validated: see :class:`gitstate.store.documents.Observer`.
    """

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, value_id: str) -> bool:
        return value_id in self._ids

    def add(self, value_id: str) -> None:
        """Remember that the value of this id is a state."""
        with self._lock:
            self._ids[value_id] = None
            self._ids.move_to_end(value_id)
            if len(self._ids) > _MOST:
                self._ids.popitem(last=False)

    def applied(self, value_id: str, revision: str) -> None:  # noqa: ARG002  # what an observer is told
        """Remember the value of a draft: it is a state, whether it is published or not."""
        self.add(value_id)

    def withdrawn(self) -> None:
        """Forget nothing: an id stands for the same value for ever."""

    def published(self) -> None:
        """Learn nothing new."""
