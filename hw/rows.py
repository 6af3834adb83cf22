"""JSON objects as rows of tables: dataclasses, with every value of the type that the field's annotation says."""

import dataclasses
import enum
import functools
import types
import typing
from typing import Any, TypeVar

__all__ = ["read_row", "read_value"]

_Row = TypeVar("_Row")

_MOST = 1 << 62
"""What integers stay below, so that sums and products of a few still fit where numpy puts them."""

_LARGEST = 1e40
"""What real numbers stay below: a float32 is at most 3.4e38."""


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def read_row(kind: type[_Row], values: Any, where: str, **given: Any) -> _Row:
    """A dataclass from a JSON object; `given` are fields that the object must not have, since they come from elsewhere.

    Lists are tuples, enumerations stand by name. Raises ``ValueError`` naming `where` and the field for an unknown or
    missing one, or one of another type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected an object, got {type(values).__name__}")
    hints = {name: hint for name, hint in _hints(kind).items() if name not in given}
    if unknown := [name for name in values if name not in hints]:
        raise ValueError(f"{where}: unknown field {unknown[0][:40]!r}")
    found = {name: read_value(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    try:
        return kind(**found, **given)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def read_value(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as what an annotation says; ``ValueError`` naming `where` if it is something else."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or (origin is dict and isinstance(value, dict)):
        return value
    if origin in (types.UnionType, typing.Union):
        fitting = [each for each in arguments if each is not types.NoneType]
        return None if value is None and len(fitting) < len(arguments) else read_value(fitting[0], value, where)
    if origin is tuple and isinstance(value, list):
        if arguments[1:] == (...,):
            return tuple(read_value(arguments[0], each, where) for each in value)
        if len(value) == len(arguments):
            return tuple(read_value(each, part, where) for each, part in zip(arguments, value, strict=True))
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return read_row(hint, value, where)
        if issubclass(hint, enum.Enum) and isinstance(value, str) and value in hint.__members__:
            return hint[value]
        if hint is float and type(value) in (int, float) and abs(value) < _LARGEST:
            return float(value)
        if hint in (bool, str, list, int) and type(value) is hint and (hint is not int or abs(value) < _MOST):
            return value
    wanted = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise ValueError(f"{where}: expected {wanted}, got {str(value)[:40]!r}")
