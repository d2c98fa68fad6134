"""The shape of a model's values: its fields in their order, and those of the models it holds."""

from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel

from gitstate.values.shape import ANY, Shape

__all__ = ["forgets", "shape_of"]


def shape_of(model: type[BaseModel]) -> Shape:
    """Return the shape of a model's values. What no annotation tells is of any shape: its keys are sorted."""
    return _shape(model, {})


def forgets(model: type[BaseModel]) -> bool:
    """Whether a model, or anything that it holds, ignores fields that it does not know."""
    return _forgets(model, set())


def _forgets(annotation: Any, met: set[type]) -> bool:
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in met:
            return False
        met.add(annotation)
        is_root = issubclass(annotation, RootModel)
        if not is_root and annotation.model_config.get("extra", "ignore") == "ignore":
            return True
        return any(_forgets(field.annotation, met) for field in annotation.model_fields.values())
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "__total__")):  # which a TypedDict has
        return True
    return any(_forgets(argument, met) for argument in get_args(annotation))


def _shape(annotation: Any, known: dict[type, Shape]) -> Shape:
    annotation = getattr(annotation, "__value__", annotation)  # an alias that was made with TypeAliasType
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _shape(annotation.__origin__, known)
    if origin in (Union, UnionType):
        return _only([_shape(argument, known) for argument in arguments if argument is not type(None)])
    kind = origin or annotation
    if not isinstance(kind, type):
        return ANY
    if issubclass(kind, BaseModel):
        # A generic model with its arguments filled in is a class of its own.
        return _model_shape(annotation if isinstance(annotation, type) else kind, known)
    if issubclass(kind, Mapping) and len(arguments) == 2:
        return _each(_shape(arguments[1], known))
    if issubclass(kind, Collection) and arguments:
        return _each(_only([_shape(argument, known) for argument in arguments if argument is not ...]))
    return ANY


def _model_shape(model: type[BaseModel], known: dict[type, Shape]) -> Shape:
    if model in known:
        return known[model]
    if issubclass(model, RootModel):
        known[model] = ANY  # ends the recursion of a root model that holds itself
        known[model] = _shape(model.model_fields["root"].annotation, known)
        return known[model]
    inner: dict[str, Shape] = {}
    known[model] = Shape(fields=tuple(model.model_fields), inner=inner)
    for name, field in model.model_fields.items():
        shape = _shape(field.annotation, known)
        if shape is not ANY:
            inner[name] = shape
    return known[model]


def _each(shape: Shape) -> Shape:
    return ANY if shape is ANY else Shape(each=shape)


def _only(shapes: list[Shape]) -> Shape:
    """Return the one shape that says something; with two of them nobody knows which applies."""
    telling = [shape for shape in shapes if shape is not ANY]
    return telling[0] if len(telling) == 1 else ANY
