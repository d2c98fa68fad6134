"""What is encoded piece by piece is what a full encode gives, whatever was done to the state; refusals too."""

import math
import pickle
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gitstate import CheckpointState, SheetState
from gitstate.errors import UnstorableError
from gitstate.format.codec import Codec, Encoded
from gitstate.format.pieces import piecewise_fields
from gitstate.values import canonical
from tests.backends.foreign import Cost, Named, TheirJob, TheirSheet, their_job

ODD = [None, True, 1, 1.0, -0.0, math.nan, "", "\ud800", b"\xff", 2**70, object(), [math.nan], {"a": [1]}, {1: 2}]


class RicherSheet(SheetState):
    more: int = 1


def our_job() -> CheckpointState:
    state = CheckpointState(job_id="ours", job_name="Ours", total_sheets=9, metadata={"a": [1]})
    for number in (1, 2, 3):
        state.mark_sheet_started(number)
        state.sheets[number].metadata = {"deep": {"list": [number]}}
    state.sheets[2].validation_details = [{"check": "one"}]
    return state


def outcome(encode: Callable[[], Encoded | Any]) -> Any:
    """Return the value exactly, the order of its keys included, or the refusal."""
    try:
        encoded = encode()
    except UnstorableError as error:
        return error.pointer, error.message
    return repr(encoded.value if isinstance(encoded, Encoded) else encoded)


def any_edit(state: Any, data: st.DataObject) -> None:
    """Do to the sheets of a state of any model what can be done to a dictionary of models."""
    sheets = state.sheets
    key = data.draw(st.sampled_from(list(sheets) or [1]))
    sheet = sheets.get(key)
    edits: list[Callable[[], Any]] = [
        lambda: sheets.pop(key, None),
        lambda: sheets.update({key: sheets.pop(key)} if key in sheets else {}),  # now the last one
        lambda: sheets.update({data.draw(st.sampled_from([7, "7", True, 2.0, "x"])): sheet}),
        lambda: sheets.update({4: type(sheet)(sheet_num=4)} if isinstance(sheet, BaseModel) else {}),
        lambda: sheets.update({key: {"sheet_num": 1}}),
        lambda: sheets.update({key: deepcopy(sheet)}),
        lambda: setattr(state, "error_message", data.draw(st.sampled_from(["new", "\ud800", None]))),
        lambda: state.__dict__.update(sheets=data.draw(st.sampled_from([dict(reversed(sheets.items())), {}]))),
        lambda: None,
    ]
    if isinstance(sheet, BaseModel):
        name = data.draw(st.sampled_from(list(type(sheet).model_fields)))
        edits += [
            lambda: sheets.update({key: sheet.model_copy(update={name: data.draw(st.sampled_from(ODD))})}),
            lambda: sheet.__dict__.update({name: data.draw(st.sampled_from(ODD))}),
            lambda: sheet.__dict__.pop(name, None),
        ]
    data.draw(st.sampled_from(edits))()


def our_edit(state: CheckpointState, data: st.DataObject) -> None:
    sheet = data.draw(st.sampled_from([*state.sheets.values(), None]))
    odd = data.draw(st.sampled_from(ODD))
    edits: list[Callable[[], Any]] = [
        lambda: state.__dict__.update(current_sheet=odd),
        lambda: state.metadata.update(odd=odd),
        lambda: state.metadata.update(odd=1),
        lambda: state.sheets.update({5: RicherSheet(sheet_num=5, more=data.draw(st.integers()))}),
    ]
    if isinstance(sheet, SheetState):
        edits += [
            lambda: sheet.metadata.update(odd=odd),
            lambda: sheet.metadata.update(odd=1),
            lambda: sheet.metadata.get("deep", {}).setdefault("list", []).append(data.draw(st.integers(0, 3))),
            lambda: (sheet.validation_details or [{}])[0].update(check=odd),
            lambda: setattr(sheet, "attempt_count", data.draw(st.integers(0, 3))),
            lambda: setattr(sheet, "new", [odd]),
            lambda: (sheet.model_extra or {}).get("new", []).append(2),
        ]
    data.draw(st.sampled_from(edits))()


def their_edit(state: Any, data: st.DataObject) -> None:
    sheet = data.draw(st.sampled_from([*state.sheets.values(), None]))
    cost = Cost(amount=Decimal(data.draw(st.integers(0, 3))))
    edits: list[Callable[[], Any]] = [
        lambda: setattr(state, "budget", cost),
        lambda: state.by_number.update({data.draw(st.integers(8, 11)): cost}),
        lambda: state.by_number.popitem() if state.by_number else None,
        lambda: next(iter(state.by_number.values()), cost).tokens.update(a=data.draw(st.integers(0, 3))),
        lambda: state.notes.append(data.draw(st.sampled_from(ODD))),
    ]
    if isinstance(sheet, TheirSheet):
        edits += [
            lambda: setattr(sheet, "cost", cost),
            lambda: sheet.labels.add(data.draw(st.sampled_from(["B", "c"]))),
            lambda: sheet.checks.append(Named(name="two")),
            lambda: sheet.checks[0].__dict__.update(name=data.draw(st.sampled_from(["three", 3]))),
            lambda: setattr(sheet, "raw", data.draw(st.binary(max_size=2))),
            lambda: sheet.scratch.update(new=data.draw(st.sampled_from(ODD))),
            lambda: sheet._cache.update(a=1),
        ]
    with suppress(AttributeError, IndexError, TypeError):  # an earlier edit may have put something else there
        data.draw(st.sampled_from(edits))()


def copied(state: Any, data: st.DataObject) -> Any:
    how: list[Callable[[Any], Any]] = [BaseModel.model_copy, deepcopy, lambda state: pickle.loads(pickle.dumps(state))]
    with suppress(TypeError, AttributeError):  # something that cannot be copied may stand there
        return data.draw(st.sampled_from(how))(state)
    return state


def check(codec: Codec[Any], state: Any, edits: Callable[[Any, st.DataObject], None], data: st.DataObject) -> None:
    known: Encoded | None = None
    for _ in range(data.draw(st.integers(1, 6))):
        expected = outcome(partial(codec.encode, state))
        assert outcome(partial(codec.encode_changed, state, known)) == expected
        assert outcome(partial(codec.encode, state)) == expected, "encoding changed the state"
        if isinstance(expected, str):
            known = codec.encode_changed(state, known)
            assert repr(codec.encode_changed(state, known).value) == expected
        data.draw(st.sampled_from([edits, any_edit]))(state, data)
        if data.draw(st.integers(0, 9)) == 0:
            state = copied(state, data)


@given(st.data())
def test_our_states(data: st.DataObject) -> None:
    check(Codec(CheckpointState), our_job(), our_edit, data)


@given(st.data())
def test_their_states(data: st.DataObject) -> None:
    check(Codec(TheirJob), their_job(), their_edit, data)


def test_the_models_are_encoded_piece_by_piece() -> None:
    assert piecewise_fields(CheckpointState) == {"sheets": int}
    assert piecewise_fields(TheirJob) == {"sheets": int, "by_number": int}


@given(st.data())
def test_a_stored_value_is_normal_after_what_is_shared_was_taken_over(data: st.DataObject) -> None:
    codec, state = Codec(CheckpointState), our_job()
    state.sheets[8] = SheetState.model_construct(sheet_num=8)
    base = codec.encode_changed(state, None)
    for _ in range(data.draw(st.integers(0, 3))):
        our_edit(state, data)
        any_edit(state, data)
    with suppress(UnstorableError):
        ours = codec.encode_changed(state, base)
        less = {**base.value, "sheets": {**cast(Any, base.value["sheets"]), "9": {"sheet_num": 9}}}  # no defaults
        assert canonical.equal(codec.normal(less, ours.value), codec.encode(codec.decode(less)))
        codec.check(less, ours.value)


def test_only_what_changed_is_made_anew() -> None:
    codec, state = Codec(CheckpointState), our_job()
    first = codec.encode_changed(state, None)
    state.sheets[2].metadata["deep"]["list"].append("in place")
    second = codec.encode_changed(state, first)
    before, after = first.value["sheets"], second.value["sheets"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert [after[key] is before[key] for key in ("1", "2", "3")] == [True, False, True]
    assert second.value["metadata"] is not first.value["metadata"]


def test_sheets_that_changed_places() -> None:
    codec, state = Codec(CheckpointState), our_job()
    known = codec.encode_changed(state, None)
    one, two, three = state.sheets.values()
    state.sheets = {}
    state.sheets |= {3: one, 2: two, 1: three}  # the first sheet is where the first one was, under another number
    assert repr(codec.encode_changed(state, known).value) == repr(codec.encode(state))


@pytest.mark.parametrize("key", ["1", True, 1.0])
def test_keys_that_are_the_same_as_text_or_equal(key: Any) -> None:
    codec, state = Codec(CheckpointState), our_job()
    known = codec.encode_changed(state, None)
    if key == 1:
        state.sheets = {}  # a key that is equal would stay as it is
        state.sheets |= {key: our_job().sheets[1]}
    else:
        state.sheets[key] = our_job().sheets[1]
    assert outcome(partial(codec.encode_changed, state, known)) == outcome(partial(codec.encode, state))


def test_a_nan_in_place_of_none_is_refused_by_name() -> None:
    codec, state = Codec(CheckpointState), our_job()
    known = codec.encode_changed(state, None)
    state.sheets[2].__dict__["execution_duration_seconds"] = math.nan
    with pytest.raises(UnstorableError) as caught:
        codec.encode_changed(state, known)
    assert caught.value.pointer == "/sheets/2/execution_duration_seconds"
