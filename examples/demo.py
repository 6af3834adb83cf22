"""What `make demo` runs: handwritten digits, read by generated Verilog, and proof that every tensor is right.

Builds are cached; the simulation is made anew each time.
"""

import sys
from collections.abc import Iterator, Sequence

import click
import numpy as np
import numpy.typing as npt
from tilewright.cli.errors import explain
from tilewright.cli.progress import Steps
from tilewright.cli.report import make_report, print_report
from tilewright.cli.session import Session
from tilewright.examples.digits import CASES, MODEL
from tilewright.hw.params import parse_array
from tilewright.mapper.tflite import read_tflite

SHADES = " ░▒▓█"
PER_LINE = 5


def picture(image: npt.NDArray[np.int8]) -> list[str]:
    """A digit's eight lines, two characters for each pixel."""
    level = (image.astype(int).reshape(8, 8) + 128) * (len(SHADES) - 1) // 240
    return ["".join(SHADES[value] * 2 for value in row) for row in level]


def gallery(images: npt.NDArray[np.int8], captions: Sequence[str]) -> Iterator[str]:
    """The digits side by side, each over its caption."""
    for first in range(0, len(images), PER_LINE):
        pictures = [picture(image) for image in images[first : first + PER_LINE]]
        yield from ("  ".join(lines).rstrip() for lines in zip(*pictures, strict=True))
        yield "  ".join(f"{caption:16}" for caption in captions[first : first + PER_LINE]).rstrip()
        yield ""


@click.command()
@click.option("--array", default="16x16", show_default=True, metavar="RxC", help="Rows by columns of the array.")
def demo(array: str) -> None:
    """Read ten handwritten digits on a simulated accelerator."""
    with np.load(CASES) as cases:
        images, labels, expected = cases["input"], cases["label"], cases["output_0"]
    params = parse_array(array)
    print(f"digits.tflite on an array of {params.array}: generated Verilog, simulated by Verilator.", flush=True)
    with Steps() as steps:
        session = Session(read_tflite(MODEL), params, step=steps)
        (image_name,), (output_name,) = session.program.model_inputs, session.program.model_outputs
        runs = [session.rtl({image_name: image[np.newaxis]}) for image in images]
        report = make_report(session, "rtl", runs)
    answers = np.concatenate([run.values[output_name] for run in runs])
    read = answers.argmax(axis=1)
    print("Ten digits that the network was not trained on, and what the hardware reads:\n")
    verdicts = ["ok" if digit == label else "WRONG" for label, digit in zip(labels, read, strict=True)]
    captions = [f"{a}: reads {b}, {verdict}" for a, b, verdict in zip(labels, read, verdicts, strict=True)]
    print("\n".join(gallery(images, captions)))
    print(f"Cycles of the slowest of {len(runs)} digits, by layer:\n")
    print_report(report)
    equal = np.array_equal(answers, expected)
    print(f"Answers are {'equal to' if equal else 'NOT EQUAL to'} those of TensorFlow Lite's reference kernels.")
    sys.exit(0 if equal and not report.mismatches else 4)


def main() -> None:
    """Run the demo; what goes wrong is one line."""
    try:
        demo()
    except Exception as error:
        if (known := explain(error)) is None:
            raise
        known.show()
        sys.exit(known.status)


if __name__ == "__main__":
    main()
