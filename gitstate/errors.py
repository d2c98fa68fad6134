"""Every error that gitstate raises on purpose.

The tree is grouped by what the catcher would do. Each error has a stable ``code`` for programs, a message that names
the thing, and a ``hint`` that says what to do::

    GitStateError                    error
    ├── NotFoundError                not-found             also LookupError: ask for something else
    │   ├── JobNotFoundError         job-not-found         also ValueError
    │   ├── RevisionNotFoundError    revision-not-found
    │   └── StoreNotFoundError       store-not-found
    ├── ExistsError                  exists                choose another name
    ├── StaleError                   stale                 load again, then save
    ├── ConflictError                conflict              decide which side is right; what was refused is kept
    ├── BusyError                    busy                  wait, or end the other process
    ├── InvalidInputError            invalid-input         also ValueError: correct the call
    │   └── UnstorableError          unstorable            store what JSON can say
    ├── CorruptionError              corruption            restore from another copy
    │   └── StateCorruptionError     state-corruption      load an earlier revision
    ├── UnsupportedError             unsupported           use another repository
    │   └── UnsupportedFormatError   unsupported-format    upgrade gitstate
    ├── StorageError                 storage               also OSError: make room, mend the disk
    │   ├── ReadOnlyError            read-only             open for reading, or change the permissions
    │   └── StorageFullError         storage-full          make room
    ├── SyncError                    sync                  look at the remote; what is here stays
    │   ├── UnreachableError         unreachable           try again when the network is back
    │   ├── AccessDeniedError        access-denied         give other credentials, or ask for access
    │   ├── NoRepositoryError        no-repository         correct the address
    │   ├── RejectedError            rejected              do what the remote's text says
    │   ├── DivergedError            diverged              sync, which merges, or fetch and look
    │   ├── TooLargeError            too-large             raise the limit, or send less
    │   └── UntrustedError           untrusted             look at what the remote holds; nothing was taken in
    └── ClosedError                  closed                open it again
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

__all__ = [
    "AccessDeniedError",
    "BusyError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "DivergedError",
    "ExistsError",
    "GitStateError",
    "InvalidInputError",
    "JobNotFoundError",
    "NoRepositoryError",
    "NotFoundError",
    "ReadOnlyError",
    "RejectedError",
    "RevisionNotFoundError",
    "StaleError",
    "StateCorruptionError",
    "StorageError",
    "StorageFullError",
    "StoreNotFoundError",
    "SyncError",
    "TooLargeError",
    "UnreachableError",
    "UnstorableError",
    "UnsupportedError",
    "UnsupportedFormatError",
    "UntrustedError",
]


class GitStateError(Exception):
    """The root: catch it to catch everything that gitstate raises on purpose.

    ``code`` is stable and meant for programs; ``hint`` is one sentence that says what to do, or empty.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NotFoundError(GitStateError, LookupError):
    """Something that was asked for by name does not exist."""

    code = "not-found"


class JobNotFoundError(NotFoundError, ValueError):
    """The store has no state of this job."""

    code = "job-not-found"


class RevisionNotFoundError(NotFoundError):
    """No revision, or more than one, answers to this name."""

    code = "revision-not-found"


class StoreNotFoundError(NotFoundError):
    """There is no store at this path."""

    code = "store-not-found"


class ExistsError(GitStateError):
    """Something that was to be made is there already."""

    code = "exists"


class StaleError(GitStateError):
    """What a write expected no longer holds; nothing was written.

    ``moved`` lists what it was, where that is known: of a proposal, a :class:`gitstate.backends.reviewing.Moved` for
    each place that it relied on.
    """

    code = "stale"

    def __init__(self, message: str, *, moved: Sequence[Any] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.moved = tuple(moved)


class ConflictError(GitStateError):
    """Two edits that cannot be joined; nothing of them became part of the history.

    ``conflicts`` lists them, one :class:`gitstate.values.merge.Conflict` for each pointer. ``rescue`` is the ref under
    which the state is kept that a save was refused with (docs/how-to/get-a-refused-save-back.md); it is empty where
    there was no such state, or no keeping it, and then the message says why.
    """

    code = "conflict"

    def __init__(self, message: str, *, conflicts: Sequence[Any] = (), rescue: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.conflicts = tuple(conflicts)
        self.rescue = rescue


class BusyError(GitStateError):
    """Another process runs the job, or holds a lock that was not released in time; nothing was written."""

    code = "busy"


class InvalidInputError(GitStateError, ValueError):
    """An argument that makes no sense; nothing was written."""

    code = "invalid-input"


class UnstorableError(InvalidInputError):
    """A value that JSON cannot keep exactly, such as NaN; nothing was written.

    ``pointer`` is the JSON pointer (RFC 6901) of the field.
    """

    code = "unstorable"

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer


class CorruptionError(GitStateError):
    """Stored bytes are damaged or missing.

    ``pointer`` is the JSON pointer (RFC 6901) of the first place that is wrong, where the bytes were JSON; else empty.
    """

    code = "corruption"

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer


class StateCorruptionError(CorruptionError):
    """The state of a job cannot be read; the message names job, file, revision and reason.

    ``revision`` is the commit that made it so and ``author`` who made that, where somebody wrote what is no state;
    they are empty where a disk lost it, or nobody knows.
    ``reason`` is what is wrong, with the file in the job's folder.
    """

    code = "state-corruption"

    def __init__(
        self,
        message: str,
        *,
        pointer: str = "",
        hint: str = "",
        reason: str = "",
        revision: str = "",
        author: str = "",
    ) -> None:
        super().__init__(message, pointer=pointer, hint=hint)
        self.reason = reason or message
        self.revision = revision
        self.author = author


class UnsupportedError(GitStateError):
    """A repository, file system or platform that gitstate does not work with; it was left alone."""

    code = "unsupported"


class UnsupportedFormatError(UnsupportedError):
    """The store has a format version that this release does not know; it was left alone."""

    code = "unsupported-format"


class StorageError(GitStateError, OSError):
    """The operating system refused to read or write; what was saved before stays.

    ``errno`` and ``filename`` are those of the system's error, where there was one.
    """

    code = "storage"

    def __init__(self, message: str, *, cause: OSError | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        if cause is not None:
            self.errno, self.strerror, self.filename = cause.errno, cause.strerror, cause.filename


class ReadOnlyError(StorageError):
    """The store cannot be written: permissions, or a file system mounted read-only."""

    code = "read-only"


class StorageFullError(StorageError):
    """No room is left on the disk, or the quota is used up."""

    code = "storage-full"


class SyncError(GitStateError):
    """Another repository could not be talked to, or one side did not take what the other has.

    The store is as it was, or has taken in what was complete and checked; nothing on the remote was overwritten.
    """

    code = "sync"


class UnreachableError(SyncError):
    """Nobody answers at the remote's address, or not in time."""

    code = "unreachable"


class AccessDeniedError(SyncError):
    """The remote wants credentials, or does not allow this to those that it got."""

    code = "access-denied"


class NoRepositoryError(SyncError):
    """There is no repository at the remote's address, or none that those who ask may see."""

    code = "no-repository"


class RejectedError(SyncError):
    """The remote did not take a push: a hook, a protected branch; the message has its text.

    ``refs`` are the refs that did not move, each with the reason that the remote gave.
    """

    code = "rejected"

    def __init__(self, message: str, *, refs: Mapping[str, str] | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.refs = dict(refs or {})


class DivergedError(SyncError):
    """The store and the remote both moved, and this must not merge them."""

    code = "diverged"


class TooLargeError(SyncError):
    """What would be sent or fetched is larger than one of the sides takes; or what would be saved, than any of them."""

    code = "too-large"


class UntrustedError(SyncError):
    """What a remote sent is no history that a store can take in; the head did not move, and nothing was written.

    ``problems`` lists what is wrong, one :class:`gitstate.engine.check.Problem` for each place.
    """

    code = "untrusted"

    def __init__(self, message: str, *, problems: Sequence[Any] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class ClosedError(GitStateError):
    """The store or backend was closed, or belongs to the process that forked this one."""

    code = "closed"
