"""What a fuzzer of a reader does with a network that it could read: one in four is compiled, and run if it is small."""

import zlib

import atheris
import numpy as np

with atheris.instrument_imports(enable_loader_override=False, include=["tilewright.mapper"]):
    from tilewright.cli.check import survey
    from tilewright.cli.inputs import random_cases
    from tilewright.cli.run import input_specs
    from tilewright.cli.session import Session
    from tilewright.hw.params import parse_array
    from tilewright.mapper.compile import compile_model
    from tilewright.mapper.ir import Graph
    from tilewright.mapper.macs import count_macs

__all__ = ["compile_some", "survey_some"]

_ARRAYS = tuple(parse_array(name) for name in ("4x4", "8x8", "8x4", "16x16"))
_SHARE = 4
_MOST_ELEMENTS = 1 << 14
_MOST_MACS = 1 << 18
_MOST_OPERATORS = 40


def survey_some(graph: Graph, content: bytes) -> None:
    """Ask for each operator by itself where it runs, as `tilewright check` does for a network that cannot run as a whole."""
    if zlib.crc32(content) % _SHARE == 0:
        survey(graph)


def compile_some(graph: Graph, content: bytes) -> None:
    """Compile the network for a small array, or leave it alone, as its file's bytes say.

    If there is little to compute, the program is interpreted, and ``AssertionError`` if it is not equal to the operators.
    """
    drawn = zlib.crc32(content)
    if drawn % _SHARE:
        return
    elements = sum(tensor.size for tensor in graph.tensors.values())
    macs = sum(count_macs(operator, graph.tensors) for operator in graph.operators)
    params = _ARRAYS[drawn // _SHARE % len(_ARRAYS)]
    if elements > _MOST_ELEMENTS or macs > _MOST_MACS or len(graph.operators) > _MOST_OPERATORS:
        compile_model(graph, params)
        return
    session = Session(graph, params)
    specs = input_specs(session.program)
    if any(spec.reach is None and np.dtype(spec.dtype).kind not in "iu" for spec in specs):
        return
    differences = session.golden(random_cases(specs).cases[0]).differences
    if any(count for tensors in differences.values() for count in tensors.values()):
        raise AssertionError(f"the program computes something else: {differences}")
