"""Credentials in values: texts at any depth, keys, blocks over several lines, and the page that is looked at."""

import random
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitstate.format.secret_spans import encoded
from gitstate.format.secret_values import CUT_AT_LEAST, Page
from gitstate.format.secrets import KINDS, FoundIn, Redactor
from gitstate.values.canonical import Value
from tests.credentials import credential, key_block
from tests.format.test_secrets import ANY, REDACTOR
from tests.values.strategies import VALUES


class TestValues:
    def test_texts_at_any_depth(self) -> None:
        token, other = credential("github-token", 1)[0], credential("jwt", 2)[0]
        value: Any = {"a": token, "b": {"c": [1, None, f"x {other}"], "d": {"e": "f"}}, "job_id": token}
        redacted: Any = REDACTOR.value(value, keep=("job_id",))
        assert redacted == {
            "a": "[redacted: github-token]",
            "b": {"c": [1, None, "x [redacted: jwt]"], "d": {"e": "f"}},
            "job_id": token,
        }
        assert redacted["b"]["d"] is value["b"]["d"]
        assert REDACTOR.value(redacted, keep=("job_id",)) is redacted

    def test_what_is_told_by_its_key(self) -> None:
        secret = credential("aws-secret-key", 1)[1]
        value: Value = {
            "env": {"AWS_SECRET_ACCESS_KEY": secret, "password": "hunter22", "Authorization": "Basic bWU6eW91MQ=="}
        }
        assert REDACTOR.value(value) == {
            "env": {
                "AWS_SECRET_ACCESS_KEY": "[redacted: aws-secret-key]",
                "password": "[redacted: password]",
                "Authorization": "Basic [redacted: authorization]",
            }
        }

    def test_a_key_block_of_which_each_line_is_an_item(self) -> None:
        lines: list[Value] = ["before", *key_block(random.Random(1)).split("\n"), "after"]
        redacted = REDACTOR.value({"lines": lines})
        assert redacted == {"lines": ["before", *["[redacted: private-key]"] * (len(lines) - 2), "after"]}

    def test_keys_become_marks_and_stay_apart(self) -> None:
        tokens = sorted(credential("github-token", seed)[0] for seed in range(3))
        value: Value = {
            "calls": {tokens[2]: 3, tokens[0]: 1, tokens[1]: {"x": 2}},
            "sheets": {tokens[0]: {tokens[1]: 1}},
        }
        redacted: Any = REDACTOR.value(value, fixed=("sheets",))
        assert redacted == {
            "calls": {
                "[redacted: github-token]": 1,
                "[redacted: github-token] (2)": {"x": 2},
                "[redacted: github-token] (3)": 3,
            },
            "sheets": {tokens[0]: {"[redacted: github-token]": 1}},
        }
        assert list(redacted["calls"].values()) == [3, 1, {"x": 2}]

    def test_a_credential_is_found_where_it_stands(self) -> None:
        token, secret = credential("github-token", 1)[0], credential("aws-secret-key", 1)[1]
        value: Value = {"a": {"b": [1, f"x {token}"]}, "env": {"AWS_SECRET_ACCESS_KEY": secret}, "job_id": token}
        assert REDACTOR.find_in_value(value, keep=("job_id",)) == [
            FoundIn("github-token", ("a", "b", "1"), token),
            FoundIn("aws-secret-key", ("env", "AWS_SECRET_ACCESS_KEY"), secret),
        ]

    def test_fields_keep_their_names(self) -> None:
        token = credential("github-token", 1)[0]
        assert REDACTOR.value({token: {token: 1}}) == {token: {"[redacted: github-token]": 1}}

    def test_a_text_that_was_cut_off(self) -> None:
        token = credential("github-token", 1)[0]
        message = "the request was refused, and this is what was sent: " + token[:20]
        value: Value = {"error_message": message, "z": "more"}
        redacted: Any = REDACTOR.value(value)
        assert token[:12] not in redacted["error_message"]

    @given(
        st.recursive(
            st.one_of(
                st.none(), st.integers(), st.text(), st.sampled_from(sorted(KINDS)).map(lambda k: credential(k, 1)[0])
            ),
            lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
            max_leaves=8,
        )
    )
    def test_what_was_redacted_once_stays_as_it_is(self, value: Value) -> None:
        redacted = REDACTOR.value(value)
        assert REDACTOR.value(redacted) is redacted
        assert REDACTOR.find_in_value(redacted) == []


@given(VALUES)
def test_a_page_is_made_of_its_lines(value: Value) -> None:
    page = Page(value, ())
    place = 0
    ends: list[int] = []
    for number, (line, after) in enumerate(pairwise([*page.lines, None])):
        assert line is not None
        text = encoded(line.text)
        assert page.data[place : place + len(text)] == text
        assert page.touched(place, place + len(text)) == ([number] if text else [])
        is_named = line.is_key and after is not None and not after.is_key and after.place == line.place
        place += len(text)
        ends += [place] if len(line.text) >= CUT_AT_LEAST else []
        assert page.data[place : place + (2 if is_named else 1)] == (b": " if is_named else b"\n")
        place += 2 if is_named else 1
    assert place == len(page.data)
    assert sorted(page.ends) == ends


@given(
    st.sampled_from(sorted(KINDS)),
    ANY,
    st.integers(5, 400),
    st.lists(st.sampled_from([*"aB1-_./:\n\t\"'\\é =", "token", "Bearer ", "\ud800", "x" * 40]), max_size=6),
    st.sampled_from(["", "\n", " ", '"', "\\", "é", "x"]),
    st.sampled_from(["tail", "api token", '"key"', "é", "x" * 40]),
)
def test_a_quick_look_at_a_value_misses_nothing(
    kind: str, seed: int, length: int, before: list[str], after: str, key: str
) -> None:
    text = "".join(before) + credential(kind, seed)[0][:length] + after
    whole = Redactor(patterns=[("none", "(?!)")])  # with a pattern of one's own there is no quick look
    values: list[Value] = [{key: text}, {"a": [text, {text: 1}]}, [key, {"a": text}], text, {text: {text: [text]}}]
    for value in values:
        assert REDACTOR.value(value) == whole.value(value)
        assert REDACTOR.find_in_value(value) == whole.find_in_value(value)
    data = encoded(text)
    assert REDACTOR.data(data) == data or not REDACTOR.finds_none({"tail": "nothing"}, [b"nothing", data])
