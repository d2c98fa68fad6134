"""Going back: older states made new checkpoints."""

from gitstate.backends.history import HistoryBackend

__all__ = ["RewindBackend"]


class RewindBackend(HistoryBackend):
    """What a backend does to bring older states back. Every one of these is a new commit; history is never changed."""
