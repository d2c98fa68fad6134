"""From a pydantic model to a value and back: ``decode(encode(m)).model_dump() == m.model_dump()``.

A model is dumped by field name, and loaded by name and alias. Excluded, private and computed fields are not stored; a
field that is None and None by default is left out. What pydantic would lose in silence is an error before anything is
written: NaN, secrets, keys that are the same as text, and things of a kind of their own (a datetime, a tuple) in a
place whose type does not tell that they are one. Each encoded value has been decoded once, so what is stored can be
loaded. Serializers and validators of the model's own may change values as they like: that is the model's business.
"""

import json
from collections import Counter, deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar, cast

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic_core import to_jsonable_python

from gitstate.errors import CorruptionError, InvalidInputError, UnstorableError
from gitstate.format.frozen import UNLIKE, Frozen, freeze, same
from gitstate.format.pieces import piecewise_fields
from gitstate.format.shapes import forgets, shape_of
from gitstate.format.surrogates import mask, mask_text, translate
from gitstate.values import canonical, pointer
from gitstate.values.canonical import Shape, Value

if TYPE_CHECKING:
    from gitstate.format.secrets import Redactor

__all__ = ["Codec", "Encoded"]

Model = TypeVar("Model", bound=BaseModel)
_Object: TypeAlias = dict[str, Value]

_LISTED = 3  # so many errors of a validation are named
_SECRETS = (Secret, SecretBytes, SecretStr)
_SCALARS = (str, int, bool, type(None))
_REPLACED = rb"\ufffd\ufffd\ufffd"
_UNKNOWN = object()  # what came back is not known


@dataclass(frozen=True)
class Encoded:
    """A value, and what tells later which of the entries that it was made of are as they were.

    ``value`` shares its entries with the values before and after it: nobody may change it in place. ``pictures`` are
    those of the entries of some fields, by key, in the order in which the value has them. ``redactor`` is what replaced
    the credentials in it; None: nothing did. Texts that were looked at beside it ``are_clean``, if that was seen.
    """

    model: type[BaseModel]
    value: dict[str, Value]
    pictures: Mapping[str, Mapping[Any, Frozen]]
    redactor: "Redactor | None" = None
    are_clean: bool = False


_NOTHING = Encoded(BaseModel, {}, {})


class Codec(Generic[Model]):
    """Encodes the instances of one model class."""

    def __init__(self, model: type[Model]) -> None:
        """Know a model.

        Raises:
            InvalidInputError: It is no class of pydantic models.
        """
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise InvalidInputError(f"{model!r} is no pydantic model", hint="give a class that inherits from BaseModel")
        self.model = model

    @cached_property
    def shape(self) -> Shape:
        """The shape of their values; only who writes asks for it."""
        return shape_of(self.model)

    @cached_property
    def forgets(self) -> bool:
        """Whether what the model does not know is not there any more once a value was decoded."""
        return forgets(self.model)

    def encode(self, instance: Model) -> Value:
        """Return an instance as a value, which shares nothing with it.

        Raises:
            UnstorableError: The value would not come back as what it is; ``pointer`` names the field.
        """
        dumped = _dump(instance)
        try:
            text = json.dumps(dumped).encode("ascii")
            if _REPLACED in text:  # pydantic does that to lone surrogates in keys
                dumped = _dump_masked(instance)
                text = json.dumps(dumped).encode("ascii")
        except (TypeError, ValueError, RecursionError) as error:
            canonical.dumps(dumped, self.shape)  # names the place
            raise UnstorableError(f"the value cannot be written as JSON: {error}") from error
        try:
            back = self.decode_text(text)
        except CorruptionError as error:
            _settle(instance, dumped, _UNKNOWN, ())  # may know a better reason
            raise UnstorableError(f"the value could not be loaded again: {error.message}") from error
        return _settle(instance, dumped, back, ())

    def encode_changed(
        self,
        instance: Model,
        known: Encoded | None,
        redactor: "Redactor | None" = None,
        *,
        keep: Container[str] = (),
        beside: Sequence[bytes] = (),
    ) -> Encoded:
        """Return what :meth:`encode` does, but take the entries over that are as they were when ``known`` was made.

        An entry is taken over when it belongs to a dictionary of models, and nothing else in the model looks into that.
        In the others, the redactor replaces credentials; fields of ``keep`` it leaves alone, and texts ``beside`` it
        only looks at. Raises as :meth:`encode` and :meth:`redacted` do.
        """
        parts = self._parts(instance)
        known = known or _NOTHING
        alike = known.model is self.model and known.redactor == redactor
        if not alike or known.pictures.keys() != parts.keys():
            pictures = {name: _pictures(part) for name, part in parts.items()}
            whole = self.redacted(self.encode(instance), redactor, keep=keep)
            return Encoded(self.model, cast(_Object, whole), pictures, redactor)
        changed = {name: _changed(part, known.pictures[name]) for name, part in parts.items()}
        fresh = {name: _pictures(part) for name, part in changed.items()}  # first: a validator may change what it sees
        news = self.encode(instance.model_copy(update=changed))
        are_clean = bool(beside) and redactor is not None and redactor.finds_none(news, beside)
        value = cast(_Object, news if are_clean else self.redacted(news, redactor, keep=keep))
        pictures = {}
        for name, part in parts.items():
            pictures[name] = {**known.pictures[name], **fresh[name]}
            entries = cast(_Object, known.value[name]) | cast(_Object, value[name])
            if [*part] != [*pictures[name]]:  # some are gone, or stand elsewhere
                pictures[name] = {key: pictures[name][key] for key in part}
                entries = {text: entries[text] for text in map(str, part)}
            value[name] = entries
        return Encoded(self.model, value, pictures, redactor, are_clean)

    def redacted(self, value: Value, redactor: "Redactor | None", *, keep: Container[str] = ()) -> Value:
        """Return a value with a mark in the place of each credential; it itself where there is none.

        Raises:
            UnstorableError: With a mark in its place the model refuses it; ``pointer`` names the field.
        """
        if redactor is None:
            return value
        clean = redactor.value(value, keep=keep, fixed=piecewise_fields(self.model))
        if clean is not value:
            try:
                self.decode(clean)
            except CorruptionError as error:
                where = error.pointer or "the value"
                raise UnstorableError(
                    f"{where} holds a credential, and is refused with a mark in its place: {error.message}",
                    pointer=error.pointer,
                    hint="exclude the field from the model, or let a Redactor allow it",
                ) from error
        return clean

    def check(self, value: Mapping[str, Value], known: Mapping[str, Value]) -> None:
        """Raise as :meth:`decode` does where a value is no instance's.

        ``known`` is an instance's; entries that are the very same objects there are not looked at again, under the
        conditions of :meth:`encode_changed`.
        """
        self.decode(self._unshared(value, known))

    def normal(self, value: Mapping[str, Value], known: Mapping[str, Value]) -> Value:
        """Return a stored value as the model says it, with defaults filled in.

        ``known`` was encoded here; entries that are the very same objects there are taken over, under the conditions of
        :meth:`encode_changed`. Raises as :meth:`encode` and :meth:`decode` do.
        """
        unshared = self._unshared(value, known)
        normal = cast(_Object, self.encode(self.decode(unshared)))
        for name in piecewise_fields(self.model):
            if unshared.get(name) is not value.get(name):
                part, whole = cast(_Object, unshared[name]), cast(_Object, value[name])
                shared = {key: entry for key, entry in whole.items() if key not in part}
                normal[name] = shared | cast(_Object, normal[name])
        return normal

    def _unshared(self, value: Mapping[str, Value], known: Mapping[str, Value]) -> dict[str, Value]:
        """Return a value without the entries that are the very same objects in another."""
        unshared = dict(value)
        for name in piecewise_fields(self.model):
            part, before = value.get(name), known.get(name)
            if isinstance(part, dict) and isinstance(before, dict):
                unshared[name] = {key: entry for key, entry in part.items() if before.get(key, _UNKNOWN) is not entry}
        return unshared

    def _parts(self, instance: Model) -> dict[str, dict[Any, BaseModel]]:
        """Return the fields of an instance that can be encoded entry by entry."""
        if type(instance) is not self.model:
            return {}
        named = {name: (instance.__dict__.get(name), kind) for name, kind in piecewise_fields(self.model).items()}
        return {
            name: part for name, (part, kind) in named.items() if type(part) is dict and {*map(type, part)} <= {kind}
        }

    def decode(self, value: Value) -> Model:
        """Return the instance that a value stands for. Raises as :meth:`decode_text` does."""
        try:
            return self.decode_text(json.dumps(value).encode("ascii"))
        except (TypeError, ValueError, RecursionError) as error:
            raise CorruptionError(f"no value: {error}") from error

    def decode_text(self, text: bytes) -> Model:
        """Return the instance that the JSON text of a value stands for.

        Raises:
            CorruptionError: The model refuses it; the message names the pointers and the reasons.
        """
        try:
            try:
                return self._validate(text)
            except ValidationError as error:
                if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                    raise
                masked, table = mask_text(text)
                instance: Model = translate(self._validate(masked), table)
                return instance
        except ValidationError as error:
            raise CorruptionError(_reasons(error), pointer=_pointer(error.errors()[0]["loc"])) from error
        except Exception as error:  # validators of other people's models raise anything
            raise CorruptionError(f"{self.model.__name__} cannot be made of it: {error}") from error

    def _validate(self, text: bytes | str) -> Model:
        return self.model.model_validate_json(text, by_alias=True, by_name=True)


def _pictures(part: Mapping[Any, BaseModel]) -> dict[Any, Frozen]:
    return {key: freeze(entry) for key, entry in part.items()}


def _changed(part: Mapping[Any, BaseModel], pictures: Mapping[Any, Frozen]) -> dict[Any, BaseModel]:
    """Return the entries that are not, or no longer, as their pictures show them."""
    if [*part] != [*pictures]:
        pictures = {key: pictures.get(key, UNLIKE) for key in part}
    return {
        key: entry
        for (key, entry), picture in zip(part.items(), pictures.values(), strict=True)
        if not same(picture, entry)
    }


def _dump(instance: BaseModel, *, retry: bool = True) -> Any:
    try:
        return instance.model_dump(mode="json", by_alias=False, round_trip=True, warnings=False)
    except Exception as error:  # noqa: BLE001 - serializers of other people's models raise anything
        if retry and isinstance(error, UnicodeEncodeError):
            return _dump_masked(instance)
        _refuse(_unserializable(instance, ()), f"{type(instance).__name__} cannot be dumped: {error}", error)


def _dump_masked(instance: BaseModel) -> Any:
    masked, table = mask(instance)
    return translate(_dump(masked, retry=False), table)


def _settle(item: Any, dumped: Any, back: Any, place: pointer.Parts) -> Value:
    """Return the value of ``item``, which pydantic dumped and then loaded ``back``; refuse what it lost on the way."""
    kind: Any = type(item)
    if kind in _SCALARS:
        return dumped  # type: ignore[no-any-return]  # what json.dumps took is a value
    if isinstance(item, float):
        if not isfinite(item):
            _refuse(place, f"JSON has no {float(item)!r}")
    elif _is_root(kind):
        return _settle(item.root, dumped, back.root if isinstance(back, RootModel) else back, place)
    elif isinstance(dumped, dict):
        if isinstance(item, Mapping):
            return _settle_mapping(item, dumped, back, place)
        if (named := _fields(item)) is not None:
            return _settle_fields(named, dumped, back, place)
    elif isinstance(dumped, list) and isinstance(item, (list, tuple, set, frozenset, deque)):
        return _settle_items(item, dumped, back, place)
    _check_kind(item, back, place)
    return dumped  # type: ignore[no-any-return]  # as above


def _settle_fields(named: Mapping[str, Any], dumped: dict[str, Any], back: Any, place: pointer.Parts) -> Value:
    backs = back if isinstance(back, dict) else _fields(back) or {}
    kind: Any = type(back)
    is_model = isinstance(back, BaseModel)  # each time it is asked, it takes as long as a field
    optional: frozenset[str] = _none_by_default(kind) if is_model else frozenset()
    plain_enums = is_model and back.model_config.get("use_enum_values", False)
    value: dict[str, Value] = {}
    for name, entry in dumped.items():
        item = named.get(name, _UNKNOWN)
        if type(item) not in _SCALARS and item is not _UNKNOWN and not (plain_enums and isinstance(item, Enum)):
            entry = _settle(item, entry, backs.get(name, _UNKNOWN), (*place, name))
        if entry is not None or name not in optional:
            value[name] = entry
    return value


def _settle_mapping(item: Mapping[Any, Any], dumped: dict[str, Any], back: Any, place: pointer.Parts) -> Value:
    if len(item) != len(dumped):
        texts = Counter(next(iter(to_jsonable_python({key: None}))) for key in item)
        for text, count in texts.items():
            if count > 1:
                _refuse((*place, text), "two keys of the dictionary are the same as text")
        return dumped  # a serializer of the model's own chose other entries
    backs = back if isinstance(back, Mapping) else {}
    value: dict[str, Value] = {}
    for (key, entry), (text, dumped_entry) in zip(item.items(), dumped.items(), strict=True):
        if key not in backs and text in backs:
            _refuse((*place, text), f"the key {key!r} would come back as text")
        value[text] = _settle(entry, dumped_entry, backs.get(key, _UNKNOWN), (*place, text))
    return value


def _settle_items(item: Any, dumped: list[Any], back: Any, place: pointer.Parts) -> Value:
    _check_kind(item, back, place)
    if len(item) != len(dumped):
        return dumped  # a serializer of the model's own chose other items
    unordered = isinstance(item, (set, frozenset))
    same = isinstance(back, (list, tuple, deque)) and len(back) == len(dumped) and not unordered
    backs = back if same else [_UNKNOWN] * len(dumped)
    value = [
        _settle(entry, dumped_entry, entry_back, (*place, str(index)))
        for index, (entry, dumped_entry, entry_back) in enumerate(zip(item, dumped, backs, strict=True))
    ]
    return sorted(value, key=canonical.dumps) if unordered else value


def _check_kind(item: Any, back: Any, place: pointer.Parts) -> None:
    """Refuse what came back as plain JSON, and is more than that."""
    if back is None or type(back) in (str, int, float, bool, list, dict):
        if not isinstance(item, type(back)) and not (isinstance(item, deque) and isinstance(back, list)):
            _refuse(
                place,
                f"a {type(item).__name__} would come back as {type(back).__name__}",
                hint="give the field a type that tells, or store what JSON can say",
            )
    elif isinstance(item, _SECRETS) and item != back:
        _refuse(place, f"a {type(item).__name__} does not give its secret away", hint="exclude the field")


def _fields(item: Any) -> dict[str, Any] | None:
    """Return the fields of a model or dataclass by name; None for anything else."""
    if isinstance(item, BaseModel):
        return {**item.__dict__, **item.__pydantic_extra__} if item.__pydantic_extra__ else item.__dict__
    if is_dataclass(item) and not isinstance(item, type):
        return {field.name: getattr(item, field.name, None) for field in fields(item)}
    return None


@cache
def _is_root(kind: type) -> bool:
    return issubclass(kind, RootModel)


@cache
def _none_by_default(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if field.default is None)


def _unserializable(item: Any, place: pointer.Parts) -> pointer.Parts:
    """Return the place in ``item``, which cannot be dumped, that is to blame."""
    inner = _fields(item)
    if inner is None and isinstance(item, Mapping):
        inner = {str(key): entry for key, entry in item.items()}
    if inner is None and isinstance(item, (list, tuple)):
        inner = {str(index): entry for index, entry in enumerate(item)}
    if len(place) < canonical.MAX_DEPTH:
        for name, entry in (inner or {}).items():
            try:
                if isinstance(item, BaseModel):
                    item.model_dump(mode="json", include={name}, round_trip=True, warnings=False)
                else:
                    to_jsonable_python(entry)
            except Exception:  # noqa: BLE001 - as in encode
                return _unserializable(entry, (*place, name))
    return place


def _refuse(place: pointer.Parts, reason: str, cause: Exception | None = None, *, hint: str = "") -> NoReturn:
    where = pointer.to_text(place)
    raise UnstorableError(f"{where or 'the value'} cannot be stored: {reason}", pointer=where, hint=hint) from cause


def _reasons(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{_pointer(one['loc']) or 'the value'}: {one['msg']}" for one in errors[:_LISTED]]
    return "; ".join(told) + (f"; and {len(errors) - _LISTED} more" if len(errors) > _LISTED else "")


def _pointer(place: tuple[str | int, ...]) -> str:
    return pointer.to_text(tuple(map(str, place)))
