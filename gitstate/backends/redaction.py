"""What a backend does about credentials in what it is given to keep: they are replaced before an object exists.

What is in the history already, and what a person edited by hand, stays as it is; `gitstate scan` finds it there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from gitstate.errors import InvalidInputError
from gitstate.format.message import EVENT, Event

if TYPE_CHECKING:
    from gitstate.format.codec import Codec
    from gitstate.format.message import Message
    from gitstate.format.secrets import Redactor
    from gitstate.values.canonical import Value

__all__ = ["KEPT", "Redaction"]

_SAVES = frozenset((EVENT, event.value) for event in (Event.SAVED, Event.SHEET, Event.EXECUTION))
KEPT = ("job_id",)
"""The fields of a state that are left alone: a job is found by its id."""


class Redaction:
    """Replaces what a redactor finds, or nothing. The known formats are read when something is to be written.

    Args:
        redact: True is all known kinds, False nothing.

    Raises:
        InvalidInputError: It is neither, and no redactor.
    """

    def __init__(self, redact: bool | Redactor) -> None:
        self._redact = redact
        if not isinstance(redact, bool):
            _ = self.redactor

    @cached_property
    def redactor(self) -> Redactor | None:
        """What replaces credentials; None: nothing does."""
        if self._redact is False:
            return None
        from gitstate.format.secrets import Redactor

        return Redactor.of(self._redact)

    def text(self, text: str) -> str:
        """Return a text without credentials. What is no text stays as it is: somebody else refuses it."""
        return text if self.redactor is None or not isinstance(text, str) else self.redactor.text(text)

    def refuse_in_name(self, what: str, name: str) -> None:
        """Refuse a name that holds a credential: it cannot become a mark, for by it a thing is found.

        Args:
            what: What is to be named, for the error, which does not say the name.
            name: The name. What is no text is left to somebody else.

        Raises:
            InvalidInputError: It holds one.
        """
        found = self.redactor.find(name) if self.redactor is not None and isinstance(name, str) else []
        if found:
            kinds = ", ".join(dict.fromkeys(each.kind for each in found))
            raise InvalidInputError(
                f"the name of this {what} holds a credential ({kinds}), and whoever sees the store sees its names",
                hint="choose another name",
            )

    def payload(self, text: bytes | None) -> bytes | None:
        """Return a prompt or an output without credentials."""
        return text if text is None or self.redactor is None else self.redactor.data(text)

    def message(self, message: Message) -> Message:
        """Return the message of a commit with nothing in its subject and body that is a credential.

        Its trailers are made of what was redacted before, and name the job; and so is what saves say.
        """
        if self.redactor is None or not (message.body or _SAVES.isdisjoint(message.trailers)):
            return message
        subject, body = self.redactor.text(message.subject), self.redactor.text(message.body) if message.body else ""
        if subject is message.subject and body == message.body:
            return message
        return replace(message, subject=subject, body=body)

    def value(self, codec: Codec[Any], value: dict[str, Value]) -> dict[str, Value]:
        """Return the value of a state of a model. Raises UnstorableError: with a mark in it, it is none."""
        return cast("dict[str, Value]", codec.redacted(value, self.redactor, keep=KEPT))
