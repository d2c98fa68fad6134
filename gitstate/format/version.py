"""The format version of a store: the file ``gitstate.json`` at the top of every commit's tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gitstate.errors import CorruptionError, InvalidInputError, UnsupportedFormatError
from gitstate.values import canonical
from gitstate.values.canonical import Shape, Value

__all__ = ["FORMAT", "MAX_FANOUT", "FormatVersion"]

FORMAT = 1
MAX_FANOUT = 4
_MEND = "correct it and commit that with git; `git log -p -- gitstate.json` shows what it was"
_SHAPE = Shape(fields=("format", "fanout"))


@dataclass(frozen=True)
class FormatVersion:
    """How a tree is to be read: the number of the format, and under how many hex levels documents lie (0 to 4).

    ``unknown`` keeps the keys that this release does not know.
    """

    format: int = FORMAT
    fanout: int = 0
    unknown: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not _is_number(self.fanout, 0, MAX_FANOUT):
            raise InvalidInputError(f"a fanout is a number from 0 to {MAX_FANOUT}, not {self.fanout!r}")

    def to_bytes(self) -> bytes:
        """Return the content of ``gitstate.json``."""
        return canonical.dumps({**self.unknown, "format": self.format, "fanout": self.fanout}, _SHAPE)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the content of ``gitstate.json``. A missing ``fanout`` is 0.

        Raises:
            CorruptionError: It says nothing that can be understood.
            UnsupportedFormatError: The format is newer than this release; of what else it says nothing is known.
        """
        try:
            value = canonical.loads(data)
        except CorruptionError as error:
            raise CorruptionError(f"gitstate.json: {error.message}", hint=_MEND) from error
        if not isinstance(value, dict) or not _is_number(value.get("format"), 1):
            raise CorruptionError("gitstate.json does not name a format version", hint=_MEND)
        version = value.pop("format")
        if version != FORMAT:
            raise UnsupportedFormatError(
                f"this store has format {version}, and this release of gitstate knows format {FORMAT}",
                hint="upgrade gitstate",
            )
        fanout = value.pop("fanout", 0)
        if not _is_number(fanout, 0, MAX_FANOUT):
            raise CorruptionError(
                f"gitstate.json: fanout is {fanout!r} and not a number from 0 to {MAX_FANOUT}", hint=_MEND
            )
        return cls(FORMAT, fanout, value)  # type: ignore[arg-type]  # _is_number asked for an int


def _is_number(value: object, low: int, high: int | None = None) -> bool:
    return type(value) is int and low <= value and (high is None or value <= high)
