"""Random damage to a protobuf message: a model as `onnx` has it."""

import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from .mutations import changed

__all__ = ["damage_message"]

_SCALARS: dict[int, Any] = {FieldDescriptor.TYPE_STRING: "", FieldDescriptor.TYPE_BYTES: b"", FieldDescriptor.TYPE_FLOAT: 1.0}
"""What an empty list gets, by the type of its items; others get 0."""


def damage_message(root: Message, rng: random.Random) -> None:
    """Change one field somewhere below `root`, in place: every kind of field as often."""
    places = list(_places(root))
    texts = {"names": set[str](), "kinds": set[str]()}
    for owner, field in places:
        if field.type == field.TYPE_STRING:
            value = getattr(owner, field.name)
            texts[_family(field)].update(value if field.is_repeated else [value])
    pools = {family: sorted(known) for family, known in texts.items()}
    for _ in range(20):
        kind = rng.choice(sorted({field.full_name for _, field in places}))
        owner, field = rng.choice([place for place in places if place[1].full_name == kind])
        try:
            _change(owner, field, pools, rng)
            return
        except (ValueError, TypeError, OverflowError, struct.error):  # A value that the field cannot hold.
            continue


def _places(message: Message) -> Iterator[tuple[Message, Any]]:
    """Every field that is set, of a message and of those below it."""
    for field, value in message.ListFields():
        yield message, field
        if field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                yield from _places(each)


def _family(field: Any) -> str:
    """Texts that can stand for each other."""
    return "kinds" if field.name in ("op_type", "domain") else "names"


def _change(owner: Message, field: Any, pools: dict[str, list[str]], rng: random.Random) -> None:
    if rng.random() < 0.1:  # Perhaps one that is not set yet.
        field = rng.choice(owner.DESCRIPTOR.fields)
    if rng.random() < 0.1:
        owner.ClearField(field.name)
    elif field.is_repeated:
        _change_list(getattr(owner, field.name), field, pools, rng)
    elif field.type == field.TYPE_MESSAGE:
        getattr(owner, field.name).SetInParent()
    else:
        setattr(owner, field.name, _other(field, getattr(owner, field.name), pools, rng))


def _change_list(items: Any, field: Any, pools: dict[str, list[str]], rng: random.Random) -> None:
    message = field.type == field.TYPE_MESSAGE
    if not items:
        if message:
            items.add()
        else:
            items.append(_SCALARS.get(field.type, 0))
        return
    at, other = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(5):
        case 0:
            del items[at]
        case 1:
            items.append(items[at])
        case 2:  # In another order; upb's lists cannot be assigned to.
            order = list(items)
            order[at], order[other] = order[other], order[at]
            copies = [each.SerializeToString() for each in order] if message else order
            del items[:]
            items.extend(type(order[0]).FromString(each) if message else each for each in copies)
        case _ if message:
            items[at].CopyFrom(items[other])
        case _:
            items[at] = _other(field, items[at], pools, rng)


def _other(field: Any, value: Any, pools: dict[str, list[str]], rng: random.Random) -> Any:
    if isinstance(value, str) and rng.random() < 0.7:
        return rng.choice(pools[_family(field)])
    if isinstance(value, bytes) and rng.random() < 0.8:
        return _other_bytes(value, rng)
    return changed(value, rng)


def _other_bytes(value: bytes, rng: random.Random) -> bytes:
    """Another number in the data of a tensor, or a byte more."""
    layout = rng.choice(("<b", "<i", "<q", "<f"))
    size = struct.calcsize(layout)
    if len(value) < size:
        return value + b"\0"
    at = rng.randrange(len(value) // size) * size
    number = changed(struct.unpack_from(layout, value, at)[0], rng)
    return value[:at] + struct.pack(layout, number) + value[at + size :]
