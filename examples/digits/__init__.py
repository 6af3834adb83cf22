"""A small quantized network that reads handwritten digits: the model and its test cases, as paths."""

from pathlib import Path

__all__ = ["CASES", "MODEL"]

MODEL = Path(__file__).with_name("digits.tflite")
CASES = Path(__file__).with_name("cases.npz")
