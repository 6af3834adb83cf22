"""Amaranth has no types; its modules count as Any, save enumerations, which others use as such."""

from typing import Any

def __getattr__(name: str) -> Any: ...
