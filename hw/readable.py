"""Yosys's Verilog, tidied: registers with their logic, no wire that only renames another or that nobody reads."""

import re
import textwrap
from collections import Counter

__all__ = ["readable"]

_ZERO_MEMORY = re.compile(r"^  initial begin\n(?:    (\S+ ?)\[\d+\] = (\d+'[hd]0+);\n)+  end\n", re.MULTILINE)
_REGISTER = re.compile(
    r"^  always @\((?P<edge>\w+ \S+)\)\n    (?P<register>\S+)  ?<= (?P<next>\\\$\S+) ;\n", re.MULTILINE
)
_PROCESS = re.compile(
    r"^  always @\* begin\n    if \(\\\$initial \) begin end\n(.*?)^  end\n", re.DOTALL | re.MULTILINE
)
_ASSIGNED = re.compile(r"^( +)(\S+?)( ?\[[^\]\n]*\])?  ?=(?= )", re.MULTILINE)

_NAME = re.compile(r"(?<![.'\w$\\])(?:\\\S+ |[A-Za-z_][\w$]*)")  # an escaped name with the space that ends it
_DECLARATION = re.compile(
    rf"^  (?P<kind>input|output|wire|reg) (?P<range>\[.*?\] )?(?P<name>{_NAME.pattern})(?: = .*)?;$"
)
_ALIAS = re.compile(rf"^  assign (?P<name>{_NAME.pattern}) ?= (?P<source>{_NAME.pattern});$")
_ASSIGN = re.compile(rf"^  assign (?P<name>{_NAME.pattern}) ?(?:\[[^\]]*\] )?= ")
_CONNECTION = re.compile(rf"^    \.\S+ ?\((?P<name>{_NAME.pattern})\),?$")
_TEMPORARY = re.compile(r"\\\$(?!initial )\S+ ")


def readable(text: str) -> str:
    """The same modules, for people. ``text`` is what Yosys's ``write_verilog -norename -noattr`` made of RTLIL."""
    text = re.sub(r"\A\s*/\*.*?\*/\s*", "", text)
    text = re.sub(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+", r"\\$initial", text)
    text = _ZERO_MEMORY.sub(_zero_memory, text)
    return re.sub(
        r"^module .*?^endmodule$",
        lambda module: _name_temporaries(_without_unread(_without_aliases(_merge_registers(module[0])))),
        text,
        flags=re.DOTALL | re.MULTILINE,
    )


def _zero_memory(match: re.Match[str]) -> str:
    depth = match[0].count("\n") - 2
    label = re.sub(r"\W", "", match[1])
    return (
        f"  initial begin : {label}_init\n    integer n;\n"
        f"    for (n = 0; n < {depth}; n = n + 1)\n      {match[1]}[n] = {match[2]};\n  end\n"
    )


def _merge_registers(module: str) -> str:
    """Write a register's next state into its clocked block, where Yosys has an ``always @*`` of its own for it."""
    registers = {register["next"]: register for register in _REGISTER.finditer(module)}
    uses = Counter(_TEMPORARY.findall(module))
    merged: set[str] = set()

    def merge(block: re.Match[str]) -> str:
        assigned = [target[2] for target in _ASSIGNED.finditer(block[1])]
        state = assigned[0]
        if state not in registers or uses[state + " "] != len(assigned) + 2:  # its declaration and the register
            return block[0]
        merged.add(state)
        register, edge = registers[state]["register"], registers[state]["edge"]
        body = _ASSIGNED.sub(lambda target: f"{target[1]}{register}{target[3] or ''} <=", block[1])
        body = body.replace(f"    {register} <= {register};\n", "", 1)
        return f"  always @({edge}) begin\n{body}  end\n"

    module = _PROCESS.sub(merge, module)
    module = _REGISTER.sub(lambda register: "" if register["next"] in merged else register[0], module)
    module = re.sub(
        r"^  reg (?:\[.*?\] )?(\\\$\S+) ;\n", lambda reg: "" if reg[1] in merged else reg[0], module, flags=re.MULTILINE
    )
    return (
        module if r"if (\$initial )" in module else re.sub(r"^  reg \\\$initial .*\n", "", module, flags=re.MULTILINE)
    )


def _without_aliases(module: str) -> str:
    """Let a wire that is another signal under a second name go by the first, or a temporary by the second."""
    lines = module.split("\n")
    declared = {match["name"]: match for match in map(_DECLARATION.match, lines) if match}
    ports = {
        match["name"] for match in map(_DECLARATION.match, lines) if match and match["kind"] in ("input", "output")
    }
    source_of: dict[str, str] = {}
    for alias in filter(None, map(_ALIAS.match, lines)):
        name, source = alias["name"], alias["source"]
        if name not in ports and source in declared and declared[name]["range"] == declared[source]["range"]:
            source_of[name] = source
    final: dict[str, str] = {}
    for name in source_of:
        source = source_of[name]
        while source in source_of:
            source = source_of[source]
        if _TEMPORARY.fullmatch(source) and source not in final and not _TEMPORARY.fullmatch(name):
            final[source] = name
        final.setdefault(name, source)
    renamed = {name: final.get(source, source) for name, source in final.items() if name in source_of}
    renamed |= {source: name for source, name in final.items() if source not in source_of}
    kept = []
    for line in lines:
        alias, declaration = _ALIAS.match(line), _DECLARATION.match(line)
        if (alias and alias["name"] in source_of) or (declaration and declaration["name"] in source_of):
            continue
        if not re.match(r"  \S+ \S+ +\($|endmodule|module ", line):  # an instance's names are its own
            line = _NAME.sub(lambda name: renamed.get(name[0], name[0]), line)
        kept.append(line)
    return "\n".join(kept)


def _without_unread(module: str) -> str:
    """Drop wires that nobody reads, and what is then not read either. Instances leave such outputs open."""
    lines = module.split("\n")
    names = [_NAME.findall(line) for line in lines]
    uses = Counter(name for line in names for name in line)
    assigns: dict[str, list[int]] = {}
    connections: dict[str, int] = {}
    declarations: dict[str, list[int]] = {}
    for n, line in enumerate(lines):
        if assign := _ASSIGN.match(line):
            assigns.setdefault(assign["name"], []).append(n)
        elif declaration := _DECLARATION.match(line):
            declarations.setdefault(declaration["name"], []).append(n)
        elif connection := _CONNECTION.match(line):
            connections[connection["name"]] = n
    wires = [name for name, where in declarations.items() if len(where) == 1 and lines[where[0]].startswith("  wire")]
    dropped: set[int] = set()
    while wires:
        name = wires.pop()
        where = assigns.get(name, [])
        if dropped.issuperset(declarations[name]):
            continue
        if uses[name] == 2 and name in connections:
            lines[connections[name]] = lines[connections[name]].replace(f"({name})", "()")
            dropped.update(declarations[name])
        if uses[name] != 1 + len(where):
            continue
        for n in (*where, *declarations[name]):
            dropped.add(n)
            uses.subtract(names[n])
            wires += [other for other in names[n] if len(declarations.get(other, ())) == 1 and other != name]
    return "\n".join(line for n, line in enumerate(lines) if n not in dropped)


def _name_temporaries(module: str) -> str:
    """Call temporaries t1, t2, ... in the order of the text, and declare them together."""
    declarations: dict[str, tuple[str, str]] = {}
    kept = []
    for line in module.split("\n"):
        declaration = _DECLARATION.match(line)
        if declaration and _TEMPORARY.fullmatch(declaration["name"]):
            declarations[declaration["name"]] = declaration["kind"], declaration["range"] or ""
        else:
            kept.append(line)
    text = "\n".join(kept)
    names: dict[str, str] = {}
    prefix = "t" if not re.search(r"\bt\d+\b", text) else "temporary_"
    text = _TEMPORARY.sub(lambda name: names.setdefault(name[0], f"{prefix}{len(names) + 1}"), text)
    groups: dict[tuple[str, str], list[str]] = {}
    for temporary, name in names.items():
        groups.setdefault(declarations[temporary], []).append(name)
    lines = [
        textwrap.fill(f"{kind} {extent}{', '.join(group)};", 120, initial_indent="  ", subsequent_indent="    ")
        for (kind, extent), group in groups.items()
    ]
    head, rest = text.split(");\n", 1)
    head = textwrap.fill(head.replace("\n,", ",") + ");", 120, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join([head, *lines, rest])
