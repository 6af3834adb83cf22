"""What can be wrong with a model: it is broken, or it asks for something Tilewright does not do."""

__all__ = ["ModelError", "TooLargeError", "UnsupportedError"]


class ModelError(ValueError):
    """The file is not a usable model. One line: what is wrong, where, and what to do."""


class UnsupportedError(Exception):
    """The model is sound, but an operator or its form is not supported.

    `operator` is the kind (`CONV_2D`), `where` the place in the model, `reason` what is not supported, `hint` what
    the user can do about it. The text is `OPERATOR at WHERE: REASON`; the hint is printed apart.
    """

    def __init__(self, operator: str, where: str, reason: str, hint: str) -> None:
        super().__init__(operator, where, reason, hint)
        self.operator = operator
        self.where = where
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.operator} at {self.where}: {self.reason}"


class TooLargeError(UnsupportedError):
    """The accelerator could run the network, if only it had more memory."""
