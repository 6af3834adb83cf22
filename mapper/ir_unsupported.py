"""What stands in a graph for an operator that Tilewright does not do."""

from dataclasses import dataclass

from .ir_base import Operator

__all__ = ["Unsupported"]


@dataclass(frozen=True, kw_only=True)
class Unsupported(Operator):
    """An operator that cannot run, in a graph that was read to be looked at (`read_tflite(..., partial=True)`).

    `original` is its kind in the model; `reason` and `hint` as in `UnsupportedError`.
    """

    KIND = "UNSUPPORTED"
    READS = ("operands",)

    operands: tuple[str, ...]
    others: tuple[str, ...]
    original: str
    reason: str
    hint: str

    @property
    def kind(self) -> str:
        """The kind in the model."""
        return self.original

    @property
    def outputs(self) -> tuple[str, ...]:
        """All tensors that it would define."""
        return (self.output, *self.others)
