"""Write the tables of `operators.md` and `onnx.md` from the mapper's catalogue: `python docs/operators.py`."""

import sys
from pathlib import Path

from tilewright.mapper.catalogue import CATALOGUE

FOLDER = Path(__file__).parent
START, END = "<!-- from mapper/catalogue.py: python docs/operators.py -->", "<!-- end -->"


def tflite_table() -> str:
    """What is read from `.tflite`."""
    lines = ["| Operators | Types | Where | Beyond that |", "|---|---|---|---|"]
    for entry in CATALOGUE:
        if entry.tflite:
            lines.append(f"| {', '.join(entry.tflite)} | {entry.types} | {entry.where} | {entry.beyond} |")
    return "\n".join(lines)


def onnx_table() -> str:
    """What is read from `.onnx`."""
    lines = ["| Operators | Where | Beyond that |", "|---|---|---|"]
    for entry in CATALOGUE:
        if entry.onnx:
            lines.append(f"| {', '.join(entry.onnx)} | {entry.where} | {entry.onnx_beyond or entry.beyond} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """The page with another table between the marks."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table}\n{END}{after}"


PAGES = {FOLDER / "operators.md": tflite_table, FOLDER / "onnx.md": onnx_table}


def main() -> int:
    """Rewrite the pages."""
    for path, table in PAGES.items():
        path.write_text(with_table(path.read_text(), table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
