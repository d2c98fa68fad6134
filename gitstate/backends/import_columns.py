"""What columns and fields of other people's state mean to a model: their names, and their values as JSON has them."""

import types
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gitstate.errors import CorruptionError
from gitstate.values import canonical

__all__ = [
    "EXECUTION_NAMES",
    "JOB_NAMES",
    "SHEET_NAMES",
    "cell",
    "fields_of",
    "renamed",
    "sheet_model",
    "told_time",
    "with_times",
]

JOB_NAMES = {"id": "job_id", "name": "job_name", "error": "error_message"}
SHEET_NAMES = {
    "sheet_number": "sheet_num",
    "number": "sheet_num",
    "sheet": "sheet_num",
    "attempts": "attempt_count",
    "duration_seconds": "execution_duration_seconds",
    "error": "error_message",
}
EXECUTION_NAMES = {
    "sheet_number": "sheet_num",
    "sheet": "sheet_num",
    "attempt_number": "attempt_num",
    "attempt": "attempt_num",
    "duration": "duration_seconds",
    "created_at": "executed_at",
    "recorded_at": "executed_at",
    "timestamp": "executed_at",
}
"""Names that others give to columns, and those that are meant if nothing else has them."""

_TIME = TypeAdapter(datetime)


@cache
def fields_of(model: type[BaseModel] | None) -> Mapping[str, FieldInfo]:
    """Return the fields of a model by the names and aliases under which it takes them."""
    fields: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items() if model is not None else ():
        for known in (name, info.alias, info.validation_alias):
            if isinstance(known, str):
                fields[known] = info
    return fields


@cache
def sheet_model(model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model of a job's sheets, or None where they are no models."""
    info = model.model_fields.get("sheets")
    found = [] if info is None else [kind for kind in _all_kinds(info.annotation) if issubclass(kind, BaseModel)]
    return found[0] if found else None


def renamed(columns: Mapping[str, Any], names: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns under the names that are meant; what is in ``known``, and what nobody knows, keeps its name."""
    result: dict[str, Any] = {}
    for name, value in columns.items():
        meant = names.get(name)
        is_free = meant is not None and name not in known and meant not in columns and meant not in result
        result[meant if is_free and meant is not None else name] = value
    return result


def cell(raw: Any, info: FieldInfo | None) -> Any:
    """Return what an SQLite column holds as the JSON value that a field takes; ``info`` is None for unknown ones.

    A text that is a JSON object or list becomes that, unless the field takes texts; 0 and 1 become booleans where the
    field takes no numbers.

    Raises:
        ValueError: It holds bytes that are no text.
    """
    if isinstance(raw, bytes):
        raw = raw.decode()
    kinds = frozenset() if info is None else _kinds(info.annotation)
    if isinstance(raw, str) and str not in kinds and raw.lstrip()[:1] in ("{", "["):
        try:
            return canonical.loads(raw.encode())
        except (CorruptionError, UnicodeEncodeError):
            return raw
    if isinstance(raw, int) and bool in kinds and int not in kinds and raw in (0, 1):
        return bool(raw)
    return raw


def told_time(raw: Any) -> datetime | None:
    """Return the time that a value tells: ISO text, or seconds since 1970; None where it tells none."""
    try:
        return None if raw is None else _TIME.validate_python(raw)
    except ValidationError:
        return None


def with_times(value: dict[str, Any], model: type[BaseModel], otherwise: datetime) -> tuple[dict[str, Any], set[str]]:
    """Return a job's value with the times that its source does not tell, lest the model take the present one.

    Args:
        value: What the source tells.
        model: The model; fields that it does not have are not added.
        otherwise: When the source itself was last written.

    Returns:
        The value, and the names of the top fields that the model or this function makes up.
    """
    made_up = {
        name
        for name, info in model.model_fields.items()
        if info.default_factory is not None and not {name, info.alias, info.validation_alias} & value.keys()
    }
    ends = ("completed_at", "updated_at", "started_at", "created_at")
    for name, told in (("updated_at", ends), ("created_at", ends[::-1])):
        if name in made_up:
            there = (value[other] for other in told if other not in made_up and value.get(other) is not None)
            value = value | {name: next(there, otherwise.isoformat())}
    return value, made_up


def _kinds(annotation: Any) -> frozenset[type]:
    """Return the types that an annotation takes, without what they hold."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return frozenset().union(*map(_kinds, get_args(annotation)))
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    kind = origin or annotation
    return frozenset([kind]) if isinstance(kind, type) else frozenset()


def _all_kinds(annotation: Any) -> list[type]:
    inner = [kind for argument in get_args(annotation) for kind in _all_kinds(argument)]
    return [*_kinds(annotation), *inner]
