"""Amaranth has no types; its modules count as Any, save the enumerations, which the rest of the project uses as such."""

from typing import Any

def __getattr__(name: str) -> Any: ...
