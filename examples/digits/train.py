"""Make `digits.tflite`, `cases.npz` and `digits.json`: `python -m tilewright.examples.digits.train [FOLDER]`."""

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from . import CASES, MODEL
from .data import SEED, load
from .fit import fit
from .flatbuffer import serialize
from .layers import Array, Weighted
from .network import NETWORK, run
from .quantize import PIXELS, quantize

__all__ = ["accuracy", "answer", "make"]


def make(folder: Path) -> dict[str, object]:
    """Train, quantize, and write the three files into a folder; the figures of `digits.json`."""
    digits = load()
    parameters = fit(digits)
    tensors = quantize(parameters, digits.images)
    model = serialize(tensors)

    inputs = PIXELS.integers(digits.held_out_images)
    outputs = answer(model, inputs)
    float_outputs = run(parameters, digits.held_out_images)[0][NETWORK[-1].name]
    weighted = [layer for layer in NETWORK if isinstance(layer, Weighted)]
    figures: dict[str, object] = {
        "seed": SEED,
        "training_images": len(digits.images),
        "held_out_images": len(digits.held_out_images),
        "float_accuracy": accuracy(float_outputs, digits.held_out_labels),
        "accuracy": accuracy(outputs, digits.held_out_labels),
        "parameters": sum(values.size for values in parameters.values()),
        "macs": sum(layer.fan_in * math.prod(tensors[layer.name].shape) for layer in weighted),
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    _, chosen = np.unique(digits.held_out_labels, return_index=True)  # the first of each digit

    (folder / MODEL.name).write_bytes(model)
    np.savez(folder / CASES.name, input=inputs[chosen], label=digits.held_out_labels[chosen], output_0=outputs[chosen])
    (folder / MODEL.name).with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def answer(
    model: bytes, images: NDArray[np.int8], resolver: OpResolverType = OpResolverType.BUILTIN_REF
) -> NDArray[np.int8]:
    """LiteRT's answers [N, 10] to images [N, 8, 8, 1], by its reference kernels unless told otherwise."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(answers)


def accuracy(answers: Array | NDArray[np.int8], labels: NDArray[np.int64]) -> float:
    """The share, 0 to 1, of answers [N, 10] whose greatest element is the label's."""
    return float(np.mean(answers.argmax(axis=1) == labels))


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL.parent), indent=2))
