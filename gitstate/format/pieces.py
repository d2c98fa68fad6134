"""Which fields of a model can be encoded entry by entry: dictionaries of models that nothing else looks into.

Where a model has code of its own that may look at the whole or change it, an entry that stayed as it was may become
something else; such a model is always encoded as a whole. This is decided by pydantic's core schema, and in doubt so.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import getattr_static, unwrap
from typing import Any, TypeAlias

from pydantic import BaseModel, PrivateAttr

__all__ = ["piecewise_fields"]

_Schema: TypeAlias = Mapping[str, Any]

_KEYS = {"int": int, "str": str}
_OVERRIDABLE = ("model_dump", "model_copy", "__copy__", "model_validate_json")
_CLOSED = ("model", "dataclass", "typed-dict")  # code in there sees what these hold, and nothing around them
_SILENT = ("cls", "config", "default", "metadata")  # parts of a schema that hold none


class _Private(BaseModel):
    _attribute: int = PrivateAttr(default=0)


_POST_INITS = (BaseModel.model_post_init, _Private.model_post_init)  # none, and the one that private attributes bring


@cache
def piecewise_fields(model: type[BaseModel]) -> Mapping[str, type]:
    """Return the fields of a model that can be encoded entry by entry, and the type of their keys."""
    core: _Schema = model.__pydantic_core_schema__
    definitions = {each["ref"]: each for each in core.get("definitions", ())}
    schema = _resolved(core["schema"] if core["type"] == "definitions" else core, definitions)
    if not _is_plain(model, schema) or _looks_around(schema["schema"], definitions, set()):
        return {}
    fields: dict[str, _Schema] = schema["schema"]["fields"]
    found = {name: kind for name, field in fields.items() if (kind := _key_type(field, definitions)) is not None}
    others = {alias for name, field in fields.items() for alias in _aliases(field) if alias != name}
    return {} if others & found.keys() else found


def _is_plain(model: type[BaseModel], schema: _Schema) -> bool:
    """Whether a model is made, copied, dumped and loaded by pydantic alone."""
    return (
        schema["type"] == "model"
        and schema["cls"] is model
        and not (schema.get("custom_init") or schema.get("root_model") or "serialization" in schema)
        and (not schema.get("post_init") or unwrap(model.model_post_init) in _POST_INITS)
        and all(getattr_static(model, name) is getattr_static(BaseModel, name) for name in _OVERRIDABLE)
        and schema["schema"]["type"] == "model-fields"
        and "serialization" not in schema["schema"]
    )


def _key_type(field: _Schema, definitions: Mapping[str, _Schema]) -> type | None:
    """Return the type of the keys if a field is a plain dictionary of models."""
    if field.get("serialization_exclude") or "serialization_exclude_if" in field:
        return None
    schema = field["schema"]
    if schema["type"] == "default" and "serialization" not in schema:
        schema = schema["schema"]
    if schema["type"] != "dict" or schema.keys() & {"min_length", "max_length", "serialization"}:
        return None
    entry = _resolved(schema.get("values_schema", {}), definitions)
    while entry.get("type") in ("function-after", "function-before", "function-wrap"):  # validators of the entry's own
        entry = _resolved(entry["schema"], definitions)
    keys = schema.get("keys_schema", {})
    return _KEYS.get(keys.get("type")) if entry.get("type") == "model" and "serialization" not in keys else None


def _looks_around(item: Any, definitions: Mapping[str, _Schema], seen: set[str]) -> bool:
    """Whether a part of a schema has code that is told of what stands around it."""
    if isinstance(item, Mapping):
        kind = item.get("type")
        if kind in _CLOSED:
            return _looks_around(item.get("serialization"), definitions, seen)
        if kind == "with-info" or item.get("is_field_serializer") or item.get("default_factory_takes_data"):
            return True
        if kind == "definition-ref" and item["schema_ref"] not in seen:
            seen.add(item["schema_ref"])
            if _looks_around(definitions.get(item["schema_ref"]), definitions, seen):
                return True
        item = [part for name, part in item.items() if name not in _SILENT]
    return isinstance(item, (list, tuple)) and any(_looks_around(part, definitions, seen) for part in item)


def _aliases(field: _Schema) -> Iterator[str]:
    """Yield the names under which a field is looked for at the top of a value."""
    alias = field.get("validation_alias", ())
    for choice in (alias,) if isinstance(alias, str) else alias:
        yield choice if isinstance(choice, str) else choice[0]


def _resolved(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    while schema.get("type") == "definition-ref":
        schema = definitions[schema["schema_ref"]]
    return schema
