"""An accelerator alone on a device: all its ports behind registers and four pins, to place and route it without a board."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..accelerator import AcceleratorSignature
from ..compact.accelerator import CompactAccelerator
from ..params import Parameters

__all__ = ["Funnel"]


class Funnel(wiring.Component):
    """``serial_i`` shifts through a register in front of every input of module ``name``, an accelerator of ``params``.

    Behind every output is a register too, added (modulo 2) to the one before it; the last is ``serial_o``. So no path
    leaves the device or is as short as the tools would make it if a port were constant or unused.
    """

    serial_i: In(1)
    serial_o: Out(1)

    def __init__(self, params: Parameters, name: str) -> None:
        self._params = params
        self._name = name
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs, outputs, ports = [], [], {}
        params = self._params
        signature = CompactAccelerator(params).signature if params.compact else AcceleratorSignature(params)
        for path, member, port in signature.flatten(signature.create()):
            name, signal = "_".join(map(str, path)), Signal.like(Value.cast(port))
            signal.name = name
            given = member.flow == In
            (inputs if given else outputs).append(signal)
            ports[f"{'i' if given else 'o'}_{name}"] = signal
        reset = Signal(2)
        shift_in, shift_out = Signal(sum(map(len, inputs))), Signal(sum(map(len, outputs)))
        m.d.sync += [
            reset.eq(Cat(ResetSignal(), reset)),
            shift_in.eq(Cat(self.serial_i, shift_in)),
            shift_out.eq(Cat(*outputs) ^ Cat(Const(0), shift_out)),
            self.serial_o.eq(shift_out[-1]),
        ]
        m.d.comb += Cat(*inputs).eq(shift_in)
        m.submodules.dut = Instance(self._name, i_clk=ClockSignal(), i_rst=reset[-1], **ports)
        return m
