"""Document ids as names of folders and refs: reversible, so two ids never meet.

Every byte of an id that is not ``[A-Za-z0-9_-]`` or an inner ``.`` is written as ``%XX``. So no name is ``.``, ``..``
or ``.git``, ends in a dot, or holds anything that git or a POSIX file system refuses.
"""

import re
from hashlib import sha256
from urllib.parse import unquote_to_bytes

from gitstate.errors import InvalidInputError

__all__ = ["decode", "encode", "fan", "is_cut", "ref_decode", "ref_encode"]

_LIMIT = 180  # bytes; with the mark and the hash it stays under the 255 of most file systems
# Neither comes out of the encoding, where two hex digits follow each "%"; git allows no "~" in a ref.
_CUT = "%~"
_REF_CUT = "%_"
_HASH_DIGITS = 40

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_ESCAPES = [chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in range(256)]
_TAME = re.compile(rf"[A-Za-z0-9_-]{{1,{_LIMIT}}}")  # an id that is its own name
_INNER_DOT = re.compile(r"(?<=.)%2E(?=.)")


def encode(document_id: str) -> str:
    """Return the name of a document's folder.

    A name that would be longer than 180 bytes is cut there, never inside an escape, and gets ``%~`` and the first 40
    hex digits of the SHA-256 of the whole id.

    Raises:
        InvalidInputError: The id is empty or no text.
    """
    if type(document_id) is str and _TAME.fullmatch(document_id):
        return document_id
    data = _bytes(document_id)
    name = "".join([_ESCAPES[byte] for byte in data])
    # An escaped dot can only have come from a dot: a "%" of the id itself is "%25" by now.
    return _bounded(_INNER_DOT.sub(".", name), data, _CUT)


def ref_encode(document_id: str) -> str:
    """Return an id as one component of a ref's name: as :func:`encode` does, but every ``.`` is written as ``%2E``,
    and a name that was cut has ``%_`` for ``%~``. So nothing is left that git refuses in a ref.
    """
    data = _bytes(document_id)
    return _bounded("".join([_ESCAPES[byte] for byte in data]), data, _REF_CUT)


def decode(name: str) -> str | None:
    """Return the id that a folder's name stands for.

    None for a name that was cut (the document itself holds its id) and for one that :func:`encode` never makes, such
    as a folder that somebody else put there.
    """
    if _TAME.fullmatch(name):
        return name
    document_id = None if _CUT in name else _unquoted(name)
    return document_id if document_id and encode(document_id) == name else None


def ref_decode(name: str) -> str | None:
    """Return the id that a component of a ref's name stands for; None as :func:`decode`."""
    document_id = None if _REF_CUT in name else _unquoted(name)
    return document_id if document_id and ref_encode(document_id) == name else None


def is_cut(name: str) -> bool:
    """Whether a folder's name is one that :func:`encode` cut, so that only the document itself can tell its id."""
    return _CUT in name


def fan(document_id: str, levels: int) -> str:
    """Return the folders between a collection and a document: the first hex digits of the SHA-256 of the id.

    Two levels give ``3/f``, none the empty text.
    """
    return "/".join(sha256(_bytes(document_id)).hexdigest()[:levels]) if levels else ""


def _unquoted(name: str) -> str | None:
    if not name.isascii():
        return None
    try:
        return unquote_to_bytes(name).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _bytes(document_id: str) -> bytes:
    if not isinstance(document_id, str) or not document_id:
        raise InvalidInputError(f"an id is a text that is not empty, not {document_id!r}")
    return document_id.encode("utf-8", "surrogatepass")


def _bounded(name: str, data: bytes, mark: str) -> str:
    if len(name) <= _LIMIT:
        return name
    kept = name[:_LIMIT]
    escape = kept.rfind("%", _LIMIT - 2)
    return (kept if escape < 0 else kept[:escape]) + mark + sha256(data).hexdigest()[:_HASH_DIGITS]
