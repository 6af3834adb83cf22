"""Random damage to a tree of objects, lists, arrays and numbers: the schema's objects of a model, or parsed JSON."""

import copy
import random
from typing import Any

import numpy as np

__all__ = ["changed", "damage"]

_INTEGERS = (
    *(0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 99, 127, 128, -128, -129, 255, 256, 4095, 4096, 65535, 65536),
    *(1 << 20, 1 << 24, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 64, 10**30),
)
_FLOATS = (0.0, -1.0, 1.0, 0.5, 1e-45, 1e-38, 1e-10, 3e38, 1e300, float("inf"), float("-inf"), float("nan"))


def damage(root: Any, rng: random.Random) -> None:
    """Change one place somewhere below `root`, in place."""
    for _ in range(20):
        owner, key, value = _pick(root, rng)
        if owner is not None:
            _put(owner, key, changed(value, rng))
            return


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return list(range(len(value)))
    return list(vars(value)) if hasattr(value, "__dict__") else []


def _get(owner: Any, key: Any) -> Any:
    return owner[key] if isinstance(owner, dict | list) else getattr(owner, key)


def _put(owner: Any, key: Any, value: Any) -> None:
    if isinstance(owner, dict | list):
        owner[key] = value
    else:
        setattr(owner, key, value)


def _pick(root: Any, rng: random.Random) -> tuple[Any, Any, Any]:
    """A random place: walk down until a leaf, or now and then stop before."""
    owner, key, value = None, None, root
    while keys := _children(value):
        if owner is not None and rng.random() < 0.1:
            break
        owner, key = value, rng.choice(keys)
        value = _get(owner, key)
    return owner, key, value


def changed(value: Any, rng: random.Random) -> Any:
    """Another value, of the same type or not."""
    match value:
        case bool():
            return rng.choice((not value, None, 7))
        case int():
            near, bit = value + rng.choice((-1, 1, 2)), value ^ 1 << rng.randrange(32)
            return rng.choice((rng.choice(_INTEGERS), near, bit, rng.randrange(12)))
        case float():
            return rng.choice((rng.choice(_FLOATS), value * rng.choice((2.0, 0.5, -1.0, 1e6))))
        case np.ndarray():
            return _changed_array(value, rng)
        case list():
            return _changed_list(value, rng)
        case dict():
            changed = dict(value)
            if changed:
                changed.pop(rng.choice(list(changed)))
            return changed
        case str() | bytes():
            other: Any = rng.choice(("", "x", value[:1], value * 2, "../up", "\n", "\x1b[1m", None))
            return other.encode() if isinstance(value, bytes) and isinstance(other, str) else other
    return rng.choice((None, 0, [], [0], "x", {}))


def _changed_array(array: np.ndarray, rng: random.Random) -> np.ndarray | None:
    array = array.copy()
    choice = rng.randrange(5)
    if choice == 0 or not array.size:
        return rng.choice((None, array[: array.size // 2], np.concatenate([array, array])))
    at = rng.randrange(array.size)
    if array.dtype.kind == "f":
        array[at] = np.float64(rng.choice(_FLOATS)).astype(array.dtype)
        return array
    limits = np.iinfo(array.dtype)
    number = rng.choice(_INTEGERS) if choice < 3 else int(array[at]) + rng.choice((-1, 1))
    array[at] = min(max(number, limits.min), limits.max)
    return array


def _changed_list(items: list[Any], rng: random.Random) -> list[Any]:
    items = list(items)
    if not items:
        return [0]
    at, other = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(5):
        case 0:
            items.pop(at)
        case 1:
            items.insert(other, copy.copy(items[at]))
        case 2:
            items[at], items[other] = items[other], items[at]
        case 3:
            items[at] = items[other]
        case _:
            items *= rng.choice((0, 2, 3))
    return items
