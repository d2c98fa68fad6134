"""Models are encoded entry by entry only where nothing in them looks at more than one entry."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    ValidationInfo,
    WrapSerializer,
    WrapValidator,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import TypeAliasType

from gitstate.errors import CorruptionError
from gitstate.format.codec import Codec
from gitstate.format.pieces import piecewise_fields
from gitstate.values.shape import Value


class Sheet(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str = ""
    tags: list[str] = []

    @field_validator("name")
    @classmethod
    def strip(cls, name: str, info: ValidationInfo) -> str:
        assert "whole" not in info.data
        return name.strip()

    @field_serializer("tags")
    def join(self, tags: list[str]) -> list[str]:
        return sorted(tags)

    @model_validator(mode="after")
    def checked(self) -> "Sheet":
        return self


class Job(BaseModel):
    sheets: dict[int, Sheet] = Field({}, alias="Sheets")
    by_name: dict[str, Annotated[Sheet, AfterValidator(lambda sheet: sheet)]] = Field(default_factory=dict)
    title: Annotated[str, AfterValidator(str.strip), PlainSerializer(str.upper)] = ""
    inner: "Job | None" = None
    _own: int = PrivateAttr(default=0)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own advice
    @property
    def size(self) -> int:
        return len(self.sheets)


def test_dictionaries_of_models() -> None:
    assert piecewise_fields(Job) == {"sheets": int, "by_name": str}


class Once(BaseModel):
    sheets: dict[int, Sheet]  # has code of its own, and is used in one place: pydantic writes it down there
    title: str = Field("", alias="Title")


class Checked(BaseModel):
    before: dict[int, Annotated[Sheet, BeforeValidator(lambda entry: entry)]] = {}
    around: dict[int, Annotated[Sheet, WrapValidator(lambda entry, handler: handler(entry))]] = {}


Steps = TypeAliasType("Steps", dict[int, Sheet])


class Shared(BaseModel):
    first: Steps = {}
    second: Steps = {}
    third: dict[int, Sheet] = {}


Free = TypeAliasType("Free", "list[Free] | int")


class WithinItself(BaseModel):
    sheets: dict[int, Sheet] = {}
    free: Free = 0


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Once, {"sheets": int}),
        (Checked, {"before": int, "around": int}),
        (Shared, {"third": int}),
        (WithinItself, {"sheets": int}),
    ],
)
def test_code_that_sees_one_entry_alone_is_none_that_looks_around(
    model: type[BaseModel], fields: dict[str, type]
) -> None:
    assert piecewise_fields(model) == fields


class Validated(BaseModel):
    sheets: dict[int, Sheet] = {}

    @model_validator(mode="after")
    def look(self) -> "Validated":
        return self


class ValidatedBefore(BaseModel):
    sheets: dict[int, Sheet] = {}

    @model_validator(mode="before")
    @classmethod
    def look(cls, value: Any) -> Any:
        return value


class Dumped(BaseModel):
    sheets: dict[int, Sheet] = {}

    @model_serializer(mode="wrap")
    def dump(self, handler: Callable[[Any], Any]) -> Any:
        return handler(self)


class WithInit(BaseModel):
    sheets: dict[int, Sheet] = {}

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)


class WithPostInit(BaseModel):
    sheets: dict[int, Sheet] = {}
    _own: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        len(self.sheets)


class InheritedPostInit(WithPostInit):
    _more: int = PrivateAttr(default=0)


class Informed(BaseModel):
    sheets: dict[int, Sheet] = {}
    count: int = 0

    @field_validator("count")
    @classmethod
    def look(cls, count: int, info: ValidationInfo) -> int:
        assert count == len(info.data["sheets"])
        return count


class InformedEntry(BaseModel):
    sheets: dict[int, Annotated[Sheet, AfterValidator(lambda sheet, info: sheet)]] = {}


class FieldValidated(BaseModel):
    sheets: dict[int, Sheet] = {}

    @field_validator("sheets")
    @classmethod
    def look(cls, sheets: Any) -> Any:
        return sheets


class FieldDumped(BaseModel):
    sheets: dict[int, Sheet] = {}

    @field_serializer("sheets")
    def dump(self, sheets: Any) -> Any:
        return sheets


class OtherFieldDumped(BaseModel):
    sheets: dict[int, Sheet] = {}
    title: str = ""

    @field_serializer("title")
    def dump(self, title: str) -> str:
        return f"{title} of {len(self.sheets)}"


class Bare(BaseModel):
    name: str = ""


class ModelDumped(BaseModel):
    sheets: dict[int, Sheet] = {}
    inner: Bare = Bare()

    @field_serializer("inner")
    def dump(self, inner: Bare) -> str:
        return f"{inner.name} of {len(self.sheets)}"


class Overrides(BaseModel):
    sheets: dict[int, Sheet] = {}

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {**super().model_dump(**options), "count": len(self.sheets)}


class Limited(BaseModel):
    sheets: dict[int, Sheet] = Field({}, max_length=2)


class LimitedBelow(BaseModel):
    sheets: dict[int, Sheet] = Field(min_length=1)


class Excluded(BaseModel):
    sheets: dict[int, Sheet] = Field({}, exclude=True)
    few: dict[int, Sheet] = Field({}, exclude_if=lambda few: len(few) < 3)


class Annotations(BaseModel):
    sheets: Annotated[dict[int, Sheet], PlainSerializer(lambda sheets: sheets)] = {}
    needed: Annotated[dict[int, Sheet], PlainSerializer(lambda sheets: sheets)]
    named: dict[Annotated[int, PlainSerializer(str)], Sheet] = {}
    anything: dict = {}  # type: ignore[type-arg]  # as people write it
    whatever: dict[int, Any] = {}


Told = TypeAliasType("Told", Annotated[int, AfterValidator(lambda number, info: number)])


class InformedElsewhere(BaseModel):
    sheets: dict[int, Sheet] = {}
    first: Told = 0
    second: Told = 0


class InformedInAnother(BaseModel):
    sheets: dict[int, Sheet] = {}
    inner: Annotated[Sheet | None, WrapSerializer(lambda inner, handler, info: handler(inner))] = None
    pairs: tuple[int, Told] = (0, 0)


class MaybeNone(BaseModel):
    sheets: dict[int, Sheet] | None = None


class NoModels(BaseModel):
    sheets: dict[int, dict[str, int]] = {}
    lists: list[Sheet] = []
    keyed: dict[float, Sheet] = {}
    ordered: OrderedDict[int, Sheet] = OrderedDict()


class Root(RootModel[dict[int, Sheet]]):
    pass


class FromData(BaseModel):
    sheets: dict[int, Sheet] = {}
    count: int = Field(default_factory=lambda data: len(data["sheets"]), exclude=True)


class AliasedAtTheTop(BaseModel):  # type: ignore[no-redef]  # two fields by one name are what is tested
    sheets: dict[int, Sheet] = {}
    other: Any = Field(None, validation_alias="sheets")


class AliasedByChoice(BaseModel):
    sheets: dict[int, Sheet] = {}
    other: Any = Field(None, validation_alias=AliasChoices("sheets"))


class Aliased(BaseModel):
    sheets: dict[int, Sheet] = {}
    first: Any = Field(None, validation_alias=AliasChoices("one", AliasPath("sheets", "1")))


@pytest.mark.parametrize(
    "model",
    [
        Validated, ValidatedBefore, Dumped, WithInit, WithPostInit, InheritedPostInit, Informed, InformedEntry,
        FieldValidated, FieldDumped, OtherFieldDumped, Overrides, Limited, LimitedBelow, Excluded, Annotations,
        MaybeNone, NoModels, Root,
        InformedElsewhere, InformedInAnother, FromData, Aliased,
        AliasedAtTheTop, AliasedByChoice, ModelDumped,
    ],
)  # fmt: skip
def test_what_is_encoded_as_a_whole(model: type[BaseModel]) -> None:
    assert piecewise_fields(model) == {}


def test_a_model_that_looks_at_the_whole_is_shown_the_whole() -> None:
    codec = Codec(Informed)
    state = Informed(sheets={1: Sheet(), 2: Sheet()}, count=2)
    known = codec.encode_changed(state, None)
    state.sheets[1].name = "changed"
    assert codec.encode_changed(state, known).value == codec.encode(state)


def test_an_instance_of_a_subclass_is_encoded_as_a_whole() -> None:
    class More(Job):
        @model_serializer(mode="wrap")
        def dump(self, handler: Callable[[Any], Any]) -> Any:
            return handler(self) | {"title": str(len(self.sheets))}

    codec = Codec(Job)
    state = More(Sheets={1: Sheet(), 2: Sheet()})
    known = codec.encode_changed(state, None)
    state.sheets[2].tags = ["b", "a"]
    assert codec.encode_changed(state, known).value == codec.encode(state)


def test_entries_that_both_values_share_are_not_checked_again() -> None:
    codec = Codec(Job)
    sound: Value = {"name": "a"}
    broken: Value = {"name": 1}
    codec.check({"sheets": {"1": sound}}, {})
    with pytest.raises(CorruptionError, match="/sheets/1/name"):
        codec.check({"sheets": {"1": broken}}, {"sheets": {"1": sound}})
    with pytest.raises(CorruptionError, match="/sheets/1/name"):
        codec.check({"sheets": {"1": broken}}, {"sheets": {"2": broken}})
    with pytest.raises(CorruptionError, match="/sheets/1"):
        codec.check({"sheets": {"1": None}}, {"sheets": {}})
    codec.check({"sheets": {"1": broken}}, {"sheets": {"1": broken}})  # it was said to be an instance's
