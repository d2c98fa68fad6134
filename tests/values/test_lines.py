"""Values as lines."""

from hypothesis import given
from hypothesis import strategies as st

from gitstate.values import canonical
from gitstate.values.canonical import Value
from gitstate.values.lines import lines

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_LIKE_OTHERS = st.sampled_from(
    [
        "",
        "1",
        "-",
        "null",
        "true",
        " a",
        "a\n",
        "a",
        "\n",
        "| a",
        '"a"',
        "{}",
        "[]",
        "2026-03-01T09:30:00Z",
        "2026-03-01 09:30:00Z",
        "\x1b[31m",
        "\u001b",
        "a = b",
        "/x = 1",
        "a\r\nb",
        "1e5",
        "NaN",
    ]
)
_VALUES = st.recursive(
    _SCALARS | _LIKE_OTHERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | _LIKE_OTHERS, inner, max_size=3),
    max_leaves=6,
)


def test_a_sheet_reads_like_this() -> None:
    sheet: Value = {
        "sheet_num": 2,
        "status": "failed",
        "started_at": "2026-03-01T09:30:00.250000Z",
        "exit_reason": None,
        "error_message": "no space left\non device\n",
        "error_code": "28",
        "validation_details": [{"name": "size", "passed": False}],
        "metadata": {},
        "stdout_tail": "",
    }
    assert list(lines(sheet)) == [
        "/sheet_num = 2",
        "/status = failed",
        "/started_at = 2026-03-01 09:30:00.250000Z",
        "/exit_reason = null",
        "/error_message =",
        "    | no space left",
        "    | on device",
        "    | ",
        '/error_code = "28"',
        "/validation_details/0/name = size",
        "/validation_details/0/passed = false",
        "/metadata = {}",
        '/stdout_tail = ""',
    ]


def test_a_time_in_digits_of_another_script_stands_as_it_is() -> None:
    text = "２０２０-０１-０１T００:００:００"
    assert [*lines(text)] == [f"= {text}"]
    assert [*lines(text)] != [*lines(text.replace("T", " "))]


def test_what_could_drive_a_terminal_is_escaped() -> None:
    assert list(lines({"a\x1b": "red\x1b[31m\u202e", "b": "1\n\x1b"})) == [
        r'"/a\u001b" = "red\u001b[31m\u202e"',
        "/b =",
        "    | 1",
        r'    "\u001b"',
    ]


def test_what_could_be_taken_for_something_else_is_quoted() -> None:
    assert list(lines("ä b")) == ["= ä b"]
    assert list(lines({"a": '"q"', "b": "{x", "c": "[x", "d": "é ", "e": "é"})) == [
        r'/a = "\"q\""',
        '/b = "{x"',
        '/c = "[x"',
        '/d = "é "',
        "/e = é",
    ]
    assert list(lines({"a = b": 1, "a =": 2, "a=": 3})) == ['"/a = b" = 1', '"/a =" = 2', "/a= = 3"]


@given(_VALUES, _VALUES)
def test_different_values_have_different_lines(one: Value, other: Value) -> None:
    shown = [list(lines(canonical.arranged(value))) for value in (one, other)]
    assert all(line.isprintable() for each in shown for line in each)
    # An empty object and an empty list differ; a list and an object with the keys 0, 1, … are shown alike.
    assert (shown[0] == shown[1]) == canonical.equal(_keyed(one), _keyed(other))


def _keyed(value: Value) -> Value:
    if isinstance(value, list) and value:
        return {str(index): _keyed(item) for index, item in enumerate(value)}
    return {key: _keyed(item) for key, item in value.items()} if isinstance(value, dict) else value
