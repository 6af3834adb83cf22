"""Yosys's Verilog, tidied: registers with their logic in one block, memories that start at zero in one line."""

import re
from collections import Counter

__all__ = ["readable"]

_ZERO_MEMORY = re.compile(r"^  initial begin\n(?:    (\S+)\[\d+\] = (\d+'h0+);\n)+  end\n", re.MULTILINE)
_REGISTER = re.compile(r"^  always @\((?P<edge>\w+ \S+)\)\n    (?P<register>\S+)  ?<= (?P<next>\\\$\d+) ;\n", re.MULTILINE)
_PROCESS = re.compile(r"^  always @\* begin\n    if \(\\\$initial \) begin end\n(.*?)^  end\n", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"^( +)(\S+?)( ?\[[^\]\n]*\])?  ?=(?= )", re.MULTILINE)


def readable(text: str) -> str:
    """The same modules, for people. ``text`` is what Yosys's ``write_verilog -norename -noattr`` made of Amaranth's RTLIL."""
    text = re.sub(r"\A\s*/\*.*?\*/\s*", "", text)
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
