"""Messages of commits without the documents that were purged: their trailers, and what the subject says of them."""

import re
from collections.abc import Collection
from typing import NamedTuple

from gitstate.format import message
from gitstate.format.erasing import MARK
from gitstate.format.message import Message

__all__ = ["Unnamed", "unnamed"]

_OURS = re.compile(r"Gitstate-", re.IGNORECASE)
_KEY = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)[ \t]*:")
_GAP = re.compile(r"\n\s*\n")  # between two paragraphs: programs on Windows leave white space in the line
_CUT = 59  # so many characters of an id stand in a subject before it is cut, as backends/subjects.py has it


class Unnamed(NamedTuple):
    """A message without some documents; those of them that it was about, whether it is about others, and the document
    that it says was forked from one of them, empty if none was.
    """

    message: bytes
    named: frozenset[str]
    others: bool
    fork: str = ""


def unnamed(data: bytes, key: str, documents: Collection[str]) -> Unnamed:
    """Return a message that no longer names some documents.

    A message that names none of them is not touched, whatever people wrote in it.

    Args:
        data: The message.
        key: The trailer that names a document.
        documents: The ids of those that go.
    """
    parsed = Message.parse(data)
    about = parsed.all(key)
    others = [each for each in about if each not in documents]
    origin = (parsed.get(message.ORIGIN) or "").rpartition("@")[0]
    gone = {each for each in (*about, origin) if each in documents}
    if not gone:
        return Unnamed(data, frozenset(), bool(others))
    text = data.decode("utf-8", "surrogateescape").rstrip()
    start, end = ([(0, 0)] + [gap.span() for gap in _GAP.finditer(text)])[-1]
    head, block = text[:start], text[end:]
    alone = bool(about) and not others
    kept = [_told(line, gone) for line in _trailers(block) if _stays(line, key, documents, alone=alone)]
    subject, break_, body = head.partition("\n")
    subject = MARK if alone else _without(subject, gone)
    told = "\n\n".join(part for part in (subject + break_ + _without(body, gone), "\n".join(kept)) if part)
    made = (told + "\n").encode("utf-8", "surrogateescape")
    fork = others[0] if others and origin in documents else ""
    return Unnamed(made, frozenset(about).intersection(documents), bool(others), fork)


def _trailers(block: str) -> list[str]:
    """Return the trailers of a last paragraph, each with the lines that go on with it."""
    found: list[str] = []
    for line in block.split("\n"):
        if found and line[:1] in (" ", "\t"):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def _stays(line: str, key: str, documents: Collection[str], *, alone: bool) -> bool:
    """Whether a trailer stays; ``alone``: the commit was about nothing else, so all that it tells is of them."""
    match = _KEY.match(line)
    if match is None or not _OURS.match(line):
        return True
    value = Message.parse(f"x\n\n{line}".encode("utf-8", "surrogateescape")).get(match[1]) or ""
    if match[1] == key:
        return value not in documents
    if match[1] == message.ORIGIN and value.rpartition("@")[0] in documents:
        return False
    return not alone or match[1] == message.CODE


def _told(line: str, gone: Collection[str]) -> str:
    """Return a trailer that stays; what people wrote in one of theirs without the ids."""
    if _OURS.match(line):
        return line
    key = _KEY.match(line)
    value = key.end() if key is not None else 0
    return line[:value] + _without(line[value:], gone)


def _without(text: str, gone: Collection[str]) -> str:
    """Return a text in which a mark stands for each of some ids that is there as a word."""
    for document in sorted(gone, key=len, reverse=True):
        forms = [document, f"{document[:_CUT]}…"] if len(document) > _CUT + 1 else [document]
        for form in forms:
            word = " ".join(form.split()) or form  # a subject has no other white space
            text = re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w-])(?!\.\w)", MARK, text)
    return text
