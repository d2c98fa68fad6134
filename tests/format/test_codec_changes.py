"""Codecs encode what changed alone, which gives what all of it gives; credentials in it are replaced."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

from gitstate.errors import CorruptionError, UnstorableError
from gitstate.format.codec import Codec
from gitstate.format.secrets import Redactor
from tests.format.test_codec import Sheet


class Job(BaseModel):
    name: str = "nightly"
    sheets: dict[int, Sheet] = {}
    notes: dict[str, Any] = {}


_KEYS = st.integers(1, 5)
_EDITS = st.lists(
    st.tuples(st.sampled_from(["put", "note", "drop", "turn", "name", "details"]), _KEYS, st.integers(0, 3)), max_size=6
)


def _edit(job: Job, what: str, key: int, value: int) -> None:
    match what:
        case "put":
            job.sheets[key] = Sheet(Number=key, kept=str(value))
        case "note" if key in job.sheets:
            job.sheets[key] = job.sheets[key].model_copy(update={"note": f"note {value}"})
        case "details" if key in job.sheets:
            object.__setattr__(job.sheets[key], "details", [{"value": value}])
        case "drop":
            job.sheets.pop(key, None)
        case "turn":
            job.sheets = dict(reversed(job.sheets.items()))
        case "name":
            job.name = f"name {value}"


@given(_EDITS, _EDITS, st.sampled_from([None, Redactor(patterns=[("note-three", "note 3|name 3")])]))
def test_what_changed_alone_is_encoded_and_gives_what_all_of_it_gives(
    before: list[Any], after: list[Any], redactor: Redactor | None
) -> None:
    codec, job = Codec(Job), Job()
    for edit in before:
        _edit(job, *edit)
    known = codec.encode_changed(job, None, redactor, keep=("name",))
    for edit in after:
        _edit(job, *edit)
    made = codec.encode_changed(job, known, redactor, keep=("name",))
    whole = codec.redacted(codec.encode(job), redactor, keep=("name",))
    assert json.dumps(made.value) == json.dumps(whole), "in the same order too"
    old, new = known.value["sheets"], made.value["sheets"]
    assert isinstance(old, dict) and isinstance(new, dict)
    if not after:
        assert all(new[key] is old[key] for key in new), "and what did not change is the very same"
    codec.check(made.value, known.value)
    assert json.dumps(codec.normal(made.value, known.value)) == json.dumps(codec.normal(made.value, {}))
    assert codec.encode_changed(job, made, redactor, keep=("name",)).value == made.value


def test_what_another_model_or_redactor_made_is_not_taken_over() -> None:
    class Other(Job):
        pass

    job = Job(sheets={1: Sheet(Number=1, note="note 3")})
    redactor = Redactor(patterns=[("note-three", "note 3")])
    known = Codec(Job).encode_changed(job, None)
    assert Codec(Job).encode_changed(job, known, redactor).value != known.value
    other = Other(**{name: getattr(job, name) for name in ("name", "sheets")})
    made = Codec(Other).encode_changed(other, known)
    assert made.value == known.value and made.value["sheets"]["1"] is not known.value["sheets"]["1"]  # type: ignore[index,call-overload]


TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
MARK = "[redacted: github-token]"


def test_what_changed_alone_is_looked_at_for_credentials_with_texts_beside_it() -> None:
    codec, redactor = Codec(Job), Redactor()
    job = Job(sheets={1: Sheet(Number=1, note=TOKEN), 2: Sheet(Number=2)})
    known = codec.encode_changed(job, None, redactor, keep=("name",))
    assert known.value["sheets"]["1"]["note"] == MARK  # type: ignore[index,call-overload]
    for note, beside, are_clean in [
        ("note 2", (), False),  # nobody asked
        ("note 1", (b"a text", b"another"), True),
        (TOKEN, (b"a text",), False),
        ("note 0", (b"a text", TOKEN.encode()), False),
    ]:
        job.sheets[2] = job.sheets[2].model_copy(update={"note": note})
        known, before = codec.encode_changed(job, known, redactor, keep=("name",), beside=beside), known
        assert known.value["sheets"]["1"] is before.value["sheets"]["1"]  # type: ignore[index,call-overload]
        assert known.value["sheets"]["2"]["note"] == note.replace(TOKEN, MARK)  # type: ignore[index,call-overload]
        assert (known.are_clean, known.model, known.redactor) == (are_clean, Job, redactor)
    assert not codec.encode_changed(job, known, beside=[b"a text"]).are_clean


def test_a_field_that_is_kept_keeps_what_looks_like_a_credential_and_a_key_of_the_models_does_too() -> None:
    codec, redactor = Codec(Job), Redactor()
    job = Job(name=TOKEN, notes={TOKEN: TOKEN})
    first = codec.encode_changed(job, None, redactor, keep=("name",))
    again = codec.encode_changed(job, first, redactor, keep=("name",))
    for value in (first.value, again.value, codec.redacted(codec.encode(job), redactor, keep=("name",))):
        assert value == {"name": TOKEN, "sheets": {}, "notes": {MARK: MARK}}
    assert codec.encode_changed(job, None, redactor).value["name"] == MARK

    class Named(BaseModel):
        steps: dict[str, Sheet] = {}

    named = Named(steps={TOKEN: Sheet(Number=1, note=TOKEN)})
    value = Codec(Named).redacted(Codec(Named).encode(named), redactor)
    assert value["steps"][TOKEN]["note"] == MARK  # type: ignore[index,call-overload]


def test_a_stored_value_gets_the_defaults_of_its_model() -> None:
    codec = Codec(Job)
    assert codec.normal({"name": "x"}, {}) == {"name": "x", "sheets": {}, "notes": {}}
    known = codec.encode_changed(Job(sheets={1: Sheet(Number=1)}), None).value
    assert codec.normal(known, known) == known
    assert codec.normal({"sheets": known["sheets"]}, known) == known


def test_a_field_that_takes_no_mark_is_named() -> None:
    class Short(BaseModel):
        note: str = Field("", max_length=6)

    class Whole(BaseModel):
        note: str = ""

        @model_validator(mode="after")
        def whole(self) -> "Whole":
            assert "four" not in self.note
            return self

    redactor = Redactor(patterns=[("three", "note 3"), ("four", "note 4")])
    with pytest.raises(UnstorableError, match=r"^/note holds a credential") as refused:
        Codec(Short).redacted({"note": "note 3"}, redactor)
    assert refused.value.pointer == "/note"
    assert Codec(Whole).redacted({"note": "note 3"}, redactor) == {"note": "[redacted: three]"}
    with pytest.raises(UnstorableError, match=r"^the value holds a credential"):
        Codec(Whole).redacted({"note": "note 4"}, redactor)


def test_keys_of_another_kind_than_the_model_says_are_encoded_with_all() -> None:
    codec, job = Codec(Job), Job(sheets={1: Sheet(Number=1)})
    job.sheets["2"] = Sheet(Number=2)  # type: ignore[index]  # as who does not look at types
    known = codec.encode_changed(job, None)
    assert not known.pictures.keys() & {"sheets"} and [*known.value["sheets"]] == ["1", "2"]  # type: ignore[misc]
    job.sheets = None  # type: ignore[assignment]
    with pytest.raises(UnstorableError, match="/sheets"):
        codec.encode_changed(job, known)


def test_a_shared_entry_is_not_looked_at_again_and_any_other_is() -> None:
    codec = Codec(Job)
    known = codec.encode_changed(Job(sheets={1: Sheet(Number=1), 2: Sheet(Number=2)}), None)
    sheets = known.value["sheets"]
    assert isinstance(sheets, dict)
    codec.check({**known.value, "sheets": {"1": sheets["1"]}}, known.value)
    with pytest.raises(CorruptionError, match="/sheets/2"):
        codec.check({**known.value, "sheets": {"1": sheets["1"], "2": {"number": "many"}}}, known.value)
