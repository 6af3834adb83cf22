"""A small program with every table filled."""

import dataclasses

import numpy as np
from tilewright.hw.params import parse_array
from tilewright.hw.program import AcceleratorRun, HostStep, HostTensor, LayerInfo, Program

from ..sim.assembler import Assembler, random_layer


def example(array: str = "4x4", depthwise: bool = False) -> Program:
    """LOAD, WEIGHTS, COMPUTE, STORE, END; with every table filled."""
    rng = np.random.default_rng(0)
    assembler = Assembler(parse_array(array))
    source, target = assembler.image(4, 4, 5), assembler.image(4, 4, 5, bank=1)
    assembler.load(source)
    layer = random_layer(rng, (3, 3), 1 if depthwise else 5, 5, pads=(1, 1), depthwise=depthwise)
    assembler.layer(layer, source, target)
    assembler.store(target)
    layers = (
        LayerInfo("conv", "CONV_2D", "accelerator", 3600, "y", None, 1, 2),
        LayerInfo("relu", "RELU", "accelerator", 0, "y", "conv"),
        LayerInfo("softmax", "SOFTMAX", "host", 0, "p"),
    )
    return dataclasses.replace(
        assembler.end(),
        model="example",
        model_inputs=("x",),
        model_outputs=("p",),
        scratch_bytes=64,
        layers=layers,
        host_tensors=(
            HostTensor("p", (1, 80), "int8", (1 / 256,), (-128,)),
            HostTensor("c", (2,), "int16", data=b"\1\2\3\4"),
            HostTensor("none", (0,), "int8", data=b""),
        ),
        steps=(AcceleratorRun(), HostStep("SOFTMAX", ("y", "c"), ("p",), {"beta": 0.1, "axes": (1, 2)})),
    )
