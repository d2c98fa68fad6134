"""What may be committed: nothing that a fetch of ours refuses, or no other machine would ever take the branch again."""

import re
from collections.abc import Callable, Iterable, Sequence

from gitstate.engine import trees
from gitstate.engine.base import Source
from gitstate.engine.limits import DEFAULT
from gitstate.engine.objects import GitObject, ObjectId, name_bytes
from gitstate.engine.staging import Staging
from gitstate.errors import TooLargeError
from gitstate.store.reader import FORMAT_FILE
from gitstate.values.nesting import is_deeper

__all__ = ["owned", "refuse_files", "refuse_message"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = 100  # characters of a path or of a document's id
_HINTS = {  # whether it is a file of a document
    True: "keep large texts out of the state: in the output of an execution, or in a file outside, with its path here",
    False: "shorten it, or keep it in a file outside of the store, with its path here",
}


def owned(tops: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells of a path whether it lies among documents, whose JSON files are limited; or is the store's own.

    Args:
        tops: The top folders of documents.
    """
    beginnings = (FORMAT_FILE, *(f"{top}/" for top in tops))
    return lambda path: path.startswith(beginnings)


def refuse_files(
    source: Source,
    roots: tuple[ObjectId, ObjectId],
    made: Sequence[GitObject],
    is_owned: Callable[[str], bool],
    document: str,
    *,
    given: bool,
) -> None:
    """Refuse files that are too large to be fetched; to look costs the length of each that is new.

    Args:
        source: Reads the trees that are not new.
        roots: The root tree before and after.
        made: The objects that are new.
        is_owned: See :func:`owned`.
        document: Whose files they are, for the error; empty if nobody knows.
        given: Whether files are among them as somebody gave them, with names and JSON of his own: what we encode is
            never deep (:data:`gitstate.values.canonical.MAX_DEPTH`), and how we name it is safe.

    Raises:
        TooLargeError: One is; the message names it.
    """
    blobs = [item for item in made if item.kind == "blob"]
    least = min(DEFAULT.document_bytes, DEFAULT.object_bytes)
    sizes = {item.id: len(item.body) for item in blobs if len(item.body) > least}
    deep = {item.id for item in blobs if given and is_deeper(item.body, DEFAULT.nesting)}
    if not sizes and not given:
        return
    for path, _, after in trees.diff(Staging(source, made), *roots):
        if after is None:
            continue
        what, hint = _path_fault(path) if given else ("", "")
        is_document = path.endswith(".json") and is_owned(path)
        most = DEFAULT.document_bytes if is_document else DEFAULT.object_bytes
        if sizes.get(after.id, 0) > most:
            what, hint = f"it has {sizes[after.id]:,} bytes, more than {most:,}", _HINTS[is_document]
        elif is_document and after.id in deep:
            what = f"objects and lists lie in one another more than {DEFAULT.nesting:,} levels deep"
            hint = "make it flat, or give the file another ending than .json"
        if what:
            raise TooLargeError(f"{_named(path, document)} cannot be synced: {what}; nothing was saved", hint=hint)


def refuse_message(commit: GitObject, document: str) -> None:
    """Refuse a commit whose message is too long to be fetched. Raises TooLargeError."""
    if len(commit.body) > DEFAULT.commit_bytes:
        raise TooLargeError(
            f"{_named('the message of the commit', document)} cannot be synced: with it the commit has "
            f"{len(commit.body):,} bytes, more than {DEFAULT.commit_bytes:,}; nothing was saved",
            hint="shorten the note, and keep the long text in a file",
        )


def _path_fault(path: str) -> tuple[str, str]:
    """Return what is wrong with the path of a file that somebody gave, and what helps; nothing if it may be so."""
    if len(name_bytes(path)) > DEFAULT.path_bytes or path.count("/") >= DEFAULT.depth:
        return "its path is too long", "move it up"
    if _CONTROL.search(path):
        return "its path holds a control character", "rename it"
    return "", ""


def _named(what: str, document: str) -> str:
    if len(what) > _SHOWN:
        what = f"{what[:_SHOWN]}..."
    what = ascii(what)[1:-1] if _CONTROL.search(what) else what
    shown = f"{document[:_SHOWN]}..." if len(document) > _SHOWN else document
    return f"{what} of {shown!r}" if document else what
