r"""Expressions: what a person asks of a value, such as ``sheets.3.attempt_count > 2``.

.. code-block:: text

    expression = all {"or" all}          all  = term {"and" term}          term = "not" term | "(" expression ")" | test
    test       = place | count | operand sign operand                      operand = place | count | literal
    sign       = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains"        count = "count" "(" place ")"
    literal    = a number as in JSON | a text in '' or "" | "true" | "false" | "null"

A **place** has dots (``sheets.3.status``): its keys are of letters, digits, ``_`` and ``-``, and the first is no word
of the language and begins with no digit and no ``-``. Or it is a JSON pointer (``/sheets/3/status``), which takes any
key and ends at white space, a parenthesis or one of ``<>=!``. In a pointer, a backslash takes the next character as it
is (``/a\ key``); in a text, it stands before quotes and before itself.

What is not there compares like null. ``*`` in a key stands for any text: a test holds if it does for **any** of the
places that are meant. So ``sheets.*.status == 'failed'`` asks whether one failed, ``not sheets.*.status == 'failed'``
whether none did. A place alone holds if something stands there that is not null, false, 0 or empty.

1 is equal to 1.0 and not to true, at any depth. Two numbers have an order, and two texts (by code point); with anything
else, ``<`` and its kin fail. A text contains texts, a list its items, an object its keys: ``sheets contains 3`` finds
the key ``'3'``. ``count`` is the number of entries of an object or list, and 1 for anything else but null; with ``*``
it is the number of places that hold something, not null.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gitstate.errors import CorruptionError, InvalidInputError
from gitstate.values.canonical import loads
from gitstate.values.conditions import COMPARISONS, Comparison, Condition, Count, Joined, Literal, Not, Operand, Place
from gitstate.values.pointer import Parts, read
from gitstate.values.shape import Value

__all__ = ["Expression"]

_MAX_LENGTH = 10_000  # characters
_MAX_DEPTH = 50  # parentheses and "not" in one another: each takes some of Python's stack

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number> -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.*-]))
      | (?P<text> "(?:[^"\\]|\\["'\\])*" | '(?:[^'\\]|\\["'\\])*')
      | (?P<sign> [=!<>]= | [<>()])
      | (?P<pointer> /(?:[^\s()<>=!\\]|\\.)*)
      | (?P<word> [\w*-]+(?:\.[\w*-]+)*)
      | (?P<end> \Z)
      | (?P<other> .))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_RESERVED = {"or", "and", "not", "contains", "count", *_CONSTANTS}
_QUOTES = "a text ends with the quote that it begins with; in it, a backslash stands before quotes and before itself"
_OTHERS = {
    "'": _QUOTES,
    '"': _QUOTES,
    "=": "== compares",
    "!": "!= compares, and 'not' says the contrary",
    "&": "'and' says that both hold",
    "|": "'or' says that one holds",
    ".": "a dot stands between two keys: sheets.3.status",
}
"""What is to be said to a character that begins nothing; to all others, _OTHER."""
_OTHER = "a key that holds such a character stands in a pointer: /sheets/3/status"
_SIGNS = f"expected: one of {' '.join(COMPARISONS)}"


@dataclass(frozen=True)
class Expression:
    """A question to a value that is answered with yes or no; the module says what can be asked.

    ``places`` are those that it reads, in the order of the text and each once: patterns with ``*`` for any text.
    """

    text: str
    places: tuple[Parts, ...]
    _condition: Condition = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Return the expression that a text says.

        Raises:
            InvalidInputError: The text is no expression; the message says where, the hint what is expected there.
        """
        if len(text) > _MAX_LENGTH:
            raise InvalidInputError(
                f"the expression {_short(text)} is too long", hint=f"it may have {_MAX_LENGTH} characters"
            )
        parser = _Parser(text)
        condition = parser.whole()
        return cls(text, tuple(dict.fromkeys(parser.places)), condition)

    def holds(self, value: Value) -> bool:
        """Tell whether a value is as the expression says. Every value gets an answer."""
        return self._condition.test(value)


class _Token(NamedTuple):
    kind: str  # a group of _TOKEN
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "end"
        yield _Token(kind, match[kind], match.start(kind))


class _Parser:
    """Reads the tokens of a text from left to right; each method reads one thing of the grammar."""

    def __init__(self, text: str) -> None:
        self.places: list[Parts] = []
        self._text = text
        self._rest = _tokens(text)
        self._token = next(self._rest)

    def whole(self) -> Condition:
        condition = self._any(0)
        if self._token.kind != "end":
            raise self._trouble("expected: 'and', 'or', or the end")
        return condition

    def _any(self, depth: int) -> Condition:
        conditions = [self._all(depth)]
        while self._took("or"):
            conditions.append(self._all(depth))
        return conditions[0] if len(conditions) == 1 else Joined(any, tuple(conditions))

    def _all(self, depth: int) -> Condition:
        conditions = [self._term(depth)]
        while self._took("and"):
            conditions.append(self._term(depth))
        return conditions[0] if len(conditions) == 1 else Joined(all, tuple(conditions))

    def _term(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise self._trouble(f"at most {_MAX_DEPTH} parentheses and 'not' stand in one another")
        if self._took("not"):
            return Not(self._term(depth + 1))
        if self._took("("):
            condition = self._any(depth + 1)
            self._expect(")", "expected: 'and', 'or', or the ) of a ( before")
            return condition
        return self._test()

    def _test(self) -> Condition:
        left = self._operand()
        compare = COMPARISONS.get(self._token.text)
        if compare is not None:
            self._advance()
            return Comparison(left, compare, self._operand())
        if isinstance(left, Literal):
            raise self._trouble(_SIGNS)
        if self._token.kind != "end" and self._token.text not in {"and", "or", ")"}:
            raise self._trouble(f"{_SIGNS}, or 'and', 'or', or the end")
        return left

    def _operand(self) -> Operand:
        token = self._token
        if token.kind == "number":
            try:
                literal = Literal(loads(token.text.encode()))
            except CorruptionError as error:
                raise self._trouble("the number is too large") from error
        elif token.kind == "text":
            literal = Literal(_ESCAPED.sub(r"\1", token.text[1:-1]))
        elif token.text in _CONSTANTS:
            literal = Literal(_CONSTANTS[token.text])
        elif self._took("count"):
            self._expect("(", "expected: count(PLACE); the place of this name is /count")
            parts = self._place("expected: a place, such as sheets.3.status or /sheets/3/status")
            self._expect(")", "expected: the ) of count(PLACE)")
            return Count(parts)
        else:
            return Place(
                self._place("expected: a place, a number, a text in quotes, true, false, null or count(PLACE)")
            )
        self._advance()
        return literal

    def _place(self, expected: str) -> Parts:
        kind, text, _ = self._token
        if kind == "pointer":
            text = _ESCAPED.sub(r"\1", text)
        elif kind != "word" or text in _RESERVED:
            raise self._trouble(expected)
        elif text.split(".")[0] in _RESERVED or text[0] in "-0123456789":
            raise self._trouble(f"a place that begins so is a pointer: /{text.replace('.', '/')}; a text is in quotes")
        try:
            parts = read(text)
        except InvalidInputError as error:
            raise self._trouble(error.hint) from error
        self.places.append(parts)
        self._advance()
        return parts

    def _advance(self) -> None:
        self._token = next(self._rest)

    def _took(self, text: str) -> bool:
        if self._token.text != text:
            return False
        self._advance()
        return True

    def _expect(self, text: str, expected: str) -> None:
        if not self._took(text):
            raise self._trouble(expected)

    def _trouble(self, expected: str) -> InvalidInputError:
        kind, text, at = self._token
        where = "it ends too early" if kind == "end" else f"character {at + 1}, at {_short(self._text[at:])}"
        hint = _OTHERS.get(text, _OTHER) if kind == "other" else expected
        return InvalidInputError(f"{_short(self._text)} is no expression: {where}", hint=hint)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
