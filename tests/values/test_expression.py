"""Expressions: what they say of a value, and what is said of those that are none."""

import operator
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitstate.errors import InvalidInputError
from gitstate.values.expression import Expression
from gitstate.values.pointer import Parts, to_text
from gitstate.values.shape import Value
from tests.values.strategies import KEYS, SCALARS, VALUES

JOB: Value = {
    "status": "running",
    "total": 3,
    "ratio": 1.0,
    "paused": False,
    "stopped": True,
    "note": 'it\'s a \\ "job"',
    "metadata": {"input": None, "a key": 1, "a.b": 2, "a(b)": 3, "": 4, "not": 5, "~/": 6},
    "sheets": {
        "1": {"status": "completed", "attempt_count": 1, "outputs": ["a.txt", "b.txt"]},
        "2": {"status": "failed", "attempt_count": 3, "error_message": "no room left"},
        "10": {"status": "pending", "attempt_count": 0, "outputs": []},
    },
    "items": [1, True, [1.0, {"a": False}], None, "1"],
    "count": 7,
    "not": 8,
    "3": 9,
}


def holds(text: str, value: Value = JOB) -> bool:
    return Expression.parse(text).holds(value)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        # Comparisons
        ("sheets.2.attempt_count > 2", True),
        ("sheets.1.attempt_count > 2", False),
        ("sheets.2.attempt_count >= 3", True),
        ("sheets.2.attempt_count < 3", False),
        ("sheets.2.attempt_count <= 3.0", True),
        ("total>2", True),
        ("/total>2", True),
        ("2 < total", True),
        ("total == 3e0", True),
        ("ratio == 1", True),
        ("total > -1.5", True),
        ("status == 'running'", True),
        ('status == "running"', True),
        ("status=='running'", True),
        ("status != 'running'", False),
        ("status < 'say'", True),
        ("sheets.1.status == sheets.2.status", False),
        ("sheets.1.attempt_count == ratio", True),
        ('note == "it\\\'s a \\\\ \\"job\\""', True),
        ("'no' == 'no'", True),
        # Types: order is between two numbers or two texts; a bool is no number
        ("paused == false", True),
        ("paused == 0", False),
        ("stopped == 1", False),
        ("stopped > 0", False),
        ("stopped >= true", False),
        ("status > 1", False),
        ("status <= 1", False),
        ("total > '1'", False),
        ("total == '3'", False),
        ("sheets > 1", False),
        ("items >= items", False),
        ("items == items", True),
        ("items != sheets", True),
        ("sheets.1.outputs == sheets.10.outputs", False),
        # What is not there compares like null
        ("nothing == null", True),
        ("nothing.at.all == null", True),
        ("metadata.input == null", True),
        ("metadata.input == nothing", True),
        ("status == null", False),
        ("status == running", False),
        ("nothing != 1", True),
        ("nothing > 1", False),
        ("nothing <= null", False),
        # A place alone
        ("status", True),
        ("nothing", False),
        ("metadata.input", False),
        ("paused", False),
        ("stopped", True),
        ("sheets.10.attempt_count", False),
        ("sheets.10.outputs", False),
        ("sheets.1.outputs", True),
        ("metadata", True),
        ("/metadata/", True),
        # contains
        ("note contains 's a'", True),
        ("note contains 'S A'", False),
        ("note contains 1", False),
        ("sheets.1.outputs contains 'a.txt'", True),
        ("sheets.1.outputs contains 'a'", False),
        ("items contains 1.0", True),
        ("items contains true", True),
        ("items contains false", False),
        ("items contains null", True),
        ("items contains nothing", True),
        ("items contains '1'", True),
        ("sheets contains '10'", True),
        ("sheets contains 10", True),
        ("sheets contains 3", False),
        ("sheets contains null", False),
        ("sheets contains true", False),
        ("total contains 3", False),
        ("nothing contains 3", False),
        ("'running or not' contains status", True),
        # Any of the places that * means
        ("sheets.*.status == 'failed'", True),
        ("sheets.*.status == 'paused'", False),
        ("not sheets.*.status == 'paused'", True),
        ("sheets.*.status != 'failed'", True),
        ("sheets.*.error_message == null", True),
        ("sheets.*.error_message contains 'room'", True),
        ("sheets.*.error_message", True),
        ("sheets.*.nothing", False),
        ("nothing.* == null", False),
        ("status.* == null", False),
        ("sheets.1*.attempt_count == 3", False),
        ("sheets.1*.attempt_count == 0", True),
        ("sheets.*.outputs.* == 'b.txt'", True),
        ("items.* == 'b.txt'", False),
        ("items.2.0 == 1", True),
        ("items.2.*.a == false", True),
        ("* == 'running'", True),
        ("sheets.*.attempt_count == sheets.*.attempt_count", True),
        # count
        ("count(sheets) == 3", True),
        ("count(items) == 5", True),
        ("count(items.*) == 4", True),
        ("count(sheets.*.error_message) == 1", True),
        ("count( sheets.*.outputs ) == 2", True),
        ("count(sheets.*.outputs.*) == 2", True),
        ("count(/sheets/1/outputs)==2", True),
        ("count(sheets.10.outputs) == 0", True),
        ("count(nothing) == 0", True),
        ("count(metadata.input) == 0", True),
        ("count(status) == 1", True),
        ("count(paused) == 1", True),
        ("count(sheets) > count(sheets.*.error_message)", True),
        ("count(sheets.*.error_message)", True),
        ("count(sheets.*.nothing)", False),
        # Pointers
        (r"/metadata/a\ key == 1", True),
        ("/metadata/a.b == 2", True),
        (r"/metadata/a\(b\) == 3", True),
        ("/metadata/ == 4", True),
        ("metadata.not == 5", True),
        ("/metadata/~0~1 == 6", True),
        ("/count == 7", True),
        ("(/not == 8)", True),
        ("/3 == 9", True),
        # Words and parentheses
        ("not paused", True),
        ("not not paused", False),
        ("not(paused)", True),
        ("not paused and paused", False),
        ("not (paused and paused)", True),
        ("stopped or paused and paused", True),
        ("(stopped or paused) and paused", False),
        ("stopped and(total == 3)and not(paused or nothing)", True),
        ("\n stopped\tand\u2003stopped ", True),
        ("notpaused == null", True),
        ("'or' == 'and'", False),
    ],
)
def test_what_an_expression_says_of_a_job(text: str, outcome: bool) -> None:
    assert holds(text) is outcome


OPERAND = r"expected: a place, a number, a text in quotes, true, false, null or count\(PLACE\)"
SIGN = "expected: one of == != < <= > >= contains"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", rf"'' is no expression: it ends too early \({OPERAND}"),
        ("  ", OPERAND),
        ("total ==", rf"'total ==' is no expression: it ends too early \({OPERAND}"),
        ("total = 3", r"'total = 3' is no expression: character 7, at '= 3' \(== compares\)"),
        ("!total", r"character 1, at '!total' \(!= compares, and 'not'"),
        ("total && total", "character 7, at '&& total' .*'and'"),
        ("total | total", "'or' says"),
        ("a.", r"character 2, at '\.' .*between two keys"),
        ("a..b", r"character 2, at '\.\.b'"),
        ("a,b == 1", "character 2, at ',b == 1' .*stands in a pointer"),
        ("a AND b", f"character 3, at 'AND b' .*{SIGN}, or 'and', 'or', or the end"),
        ("a == 1 b", "character 8, at 'b' .*expected: 'and', 'or', or the end"),
        ("1 < a < 3", "character 7, at '< 3' .*expected: 'and', 'or', or the end"),
        ("a == b)", "character 7, .*or the end"),
        ("(a == b", r"it ends too early .*or the \) of a \("),
        ("(a) == 1", "character 5, .*or the end"),
        ("a == (1)", OPERAND),
        ("()", f"character 2, .*{OPERAND}"),
        ("or a", f"character 1, .*{OPERAND}"),
        ("a or or b", f"character 6, at 'or b' .*{OPERAND}"),
        ("true", f"it ends too early .*{SIGN}"),
        ("'a' and b", f"character 5, at 'and b' .*{SIGN}"),
        ("a == 'b", "character 6, .*the quote that it begins with"),
        ('"a', "character 1, .*the quote that it begins with"),
        (r"a == 'C:\dir'", "character 6, .*a backslash stands before quotes and before itself"),
        ("a == 01", "character 6, .*/01"),
        ("a == +1", "character 6, .*in a pointer"),
        ("a > 2026-03-01", "character 5, .*a text is in quotes"),
        ("a == 1e999", "character 6, at '1e999' .*too large"),
        ("a == " + "9" * 5000, "character 6, .*too large"),
        ("3.status == 'failed'", "character 1, .*is a pointer: /3/status;"),
        ("-x == 1", "character 1, .*is a pointer: /-x;"),
        ("count > 2", r"character 7, .*count\(PLACE\); the place of this name is /count"),
        ("count.x > 2", "character 1, .*is a pointer: /count/x;"),
        ("null.x", "is a pointer: /null/x;"),
        ("count(2)", "character 7, .*expected: a place, such as"),
        ("count(not)", "character 7, .*expected: a place, such as"),
        ("count(a or b)", r"character 9, .*expected: the \) of count"),
        ("count(a", r"it ends too early .*expected: the \) of count"),
        ("/a~2 == 1", "character 1, .*write ~0 for ~"),
        ("/a\\", "character 3, .*in a pointer"),
        ("\ud800", r"character 1, at '\\ud800'"),
        ("(" * 51 + "a" + ")" * 51, "character 52, .*at most 50"),
        ("not " * 51 + "a", "character 205, .*at most 50"),
        ("a or " * 2_000 + "b", "the expression '.*…' is too long .*10000 characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_trouble(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        Expression.parse(text)
    assert refused.value.hint
    assert len(str(refused.value)) < 350


def test_nesting_and_length_have_room() -> None:
    assert holds("(" * 25 + "not " * 24 + "stopped" + ")" * 25)
    longest = "paused or " * 999 + "n" * 10
    assert len(longest) == 10_000 and not holds(longest)


def test_the_places_are_found_in_order_and_once() -> None:
    expression = Expression.parse(
        r"b.1 > /a.b/c\ d or not (count(sheets.*.x) and b.1 == 'text.x') or (z contains 1 and a)"
    )
    assert expression.places == (("b", "1"), ("a.b", "c d"), ("sheets", "*", "x"), ("z",), ("a",))
    assert Expression.parse("1 == 2").places == ()


def test_expressions_of_one_text_are_equal() -> None:
    text = "not a < 1 or count(b) and c"
    assert Expression.parse(text) == Expression.parse(text)
    assert Expression.parse(text) != Expression.parse("a")
    assert Expression.parse(text).text == text


def test_values_of_any_depth_and_size_are_compared() -> None:
    deep: list[Value] = [[], []]
    for _ in range(20_000):
        deep = [[deep[0]], [deep[1]]]
    value: Value = {"a": deep[0], "b": deep[1], "huge": 10**5000, "object": {"1": 1}}
    assert holds("a == b and not a != b", value)
    assert not holds("object contains huge or huge == 1.5", value)
    assert holds("huge > 1.5", value)


WORDS = st.sampled_from(
    ["or", "and", "not", "contains", "count", "true", "null", "count(*)", "a", "b.a", "/a/b", "*.a"]
)
OTHERS = st.sampled_from(["0", "-1.5", "1e9", "'a'", '"b"', "é", "==", "!=", "<", ">=", *"()'\"\\.*/~=!"])


def asked(text: str, value: Value) -> bool | None:
    try:
        expression = Expression.parse(text)
    except InvalidInputError as error:
        assert error.hint
        return None
    return expression.holds(value)


@given(st.text(st.characters(exclude_categories=()), max_size=20), VALUES)
def test_any_text_is_an_expression_or_refused(text: str, value: Value) -> None:
    assert asked(text, value) in (True, False, None)


@given(st.lists(WORDS | OTHERS, max_size=9), st.sampled_from(["", " "]), VALUES)
def test_any_pieces_are_an_expression_or_refused(pieces: list[str], between: str, value: Value) -> None:
    assert asked(between.join(pieces), value) in (True, False, None)


PLACES = st.sampled_from(["a", "a.b", "*", "*.a", "a.*", "/~0", "/", "b*", "*.*", "/é/0"])
OPERANDS = st.one_of(
    PLACES,
    PLACES.map("count({})".format),
    st.integers(-9, 9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["true", "false", "null", "''", "'a'", '"b"']),
)
TESTS = PLACES | st.tuples(OPERANDS, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "contains"]), OPERANDS).map(
    " ".join
)
EXPRESSIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
        inner.map(lambda one: f"not {one}"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, VALUES)
def test_every_value_gets_an_answer(text: str, value: Value) -> None:
    assert holds(text, value) is not holds(f"not ({text})", value)


@given(EXPRESSIONS, EXPRESSIONS, VALUES)
def test_words_join_as_in_logic(one: str, other: str, value: Value) -> None:
    first, second = holds(one, value), holds(other, value)
    assert holds(f"{one} and {other}", value) is (first and second)
    assert holds(f"{one} or {other}", value) is (first or second)
    assert holds(f"not ({one} and {other})", value) is holds(f"not ({one}) or not ({other})", value)
    assert holds(f"not ({one} or {other})", value) is holds(f"not ({one}) and not ({other})", value)


NUMBERS = st.one_of(
    st.integers(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False), st.just(2**53 + 1)
)
TEXTS = st.text("ab'\"\\é \n", max_size=4)
SIGNS = st.sampled_from(
    [
        ("==", operator.eq),
        ("!=", operator.ne),
        ("<", operator.lt),
        ("<=", operator.le),
        (">", operator.gt),
        (">=", operator.ge),
    ]
)


def quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


@given(NUMBERS, SIGNS, NUMBERS)
def test_numbers_compare_as_in_python(
    left: float, sign: tuple[str, Callable[[object, object], bool]], right: float
) -> None:
    value: Value = {"a": left, "b": right}
    outcome = sign[1](left, right)
    assert holds(f"a {sign[0]} b", value) is outcome
    assert holds(f"a {sign[0]} {right!r}", value) is outcome
    assert holds(f"{left!r}{sign[0]}{right!r}", value) is outcome


@given(TEXTS, SIGNS, TEXTS, st.sampled_from("'\""))
def test_texts_compare_as_in_python(
    left: str, sign: tuple[str, Callable[[object, object], bool]], right: str, quote: str
) -> None:
    value: Value = {"a": left, "b": right}
    outcome = sign[1](left, right)
    assert holds(f"a {sign[0]} b", value) is outcome
    assert holds(f"a {sign[0]} {quoted(right, quote)}", value) is outcome
    assert holds(f"{quoted(left, quote)} {sign[0]} {quoted(right, quote)}", value) is outcome
    assert holds(f"a contains {quoted(right, quote)}", value) is (right in left)


@given(VALUES)
def test_every_value_equals_itself_and_a_list_contains_it(value: Value) -> None:
    assert holds("a == b and list contains a and not a != b", {"a": value, "b": value, "list": [0, value]})


@given(st.lists(KEYS | st.text("*a (=\\'", max_size=3), min_size=1, max_size=4).map(tuple), SCALARS)
def test_a_pointer_reads_any_place(parts: Parts, scalar: Value) -> None:
    value = scalar
    for part in reversed(parts):
        value = {part: value}
    pointer = re.sub(r"([\s()<>=!\\])", r"\\\1", to_text(parts))
    expression = Expression.parse(f"{pointer} == /{'x' * 9} or count({pointer}) == 1")
    assert expression.places == (parts, ("x" * 9,))
    assert expression.holds(value)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("count(lists.*) == 2", True),  # two lists, and not the items of the first
        ("count(lists.a) == 3", True),
        ("lists.a.1 == 5", True),
        ("X.y", False),
        ("lists.a.*1 == 5", True),
        ("lists.a.*0 == 5", False),
        ("numbers contains 1000", True),
        ("numbers contains -1000", False),
    ],
)
def test_entries_of_lists_have_their_numbers_as_names(text: str, outcome: bool) -> None:
    assert holds(text, {"lists": {"a": [4, 5, 6], "b": []}, "numbers": {"1000": 1}}) is outcome


@pytest.mark.parametrize("length", [59, 60, 61, 200])
def test_a_refusal_shows_the_beginning_of_an_expression(length: int) -> None:
    text = "(" + "a" * (length - 1)
    shown = repr(text) if length <= 60 else repr(text[:59] + "…")
    with pytest.raises(InvalidInputError) as refused:
        Expression.parse(text)
    assert f"{shown} is no expression: " in refused.value.message
