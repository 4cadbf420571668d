"""Lines of NVIDIA's `tegrastats`, TX1 to Orin, L4T R28 to R39: text in, numbers out.

There is no specification; the forms are those of real logs (tests/profiling names where they come from).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_LINE = 4096
INPUT_RAILS = ("VDD_IN", "POM_5V_IN")
"""Rails that carry the whole module's power; modules without one have no total."""


@dataclass(frozen=True)
class Core:
    """One CPU core that is switched on."""

    load_percent: float
    mhz: int


@dataclass(frozen=True)
class Rail:
    """One supply rail, in mW; the average runs since tegrastats was started."""

    now_mw: int
    average_mw: int


@dataclass
class TegraLine:
    """One line; None or absent where this module or this user is not shown the value."""

    ram_used_mb: int | None = None
    ram_total_mb: int | None = None
    swap_used_mb: int | None = None
    swap_total_mb: int | None = None
    cores: tuple[Core | None, ...] = ()
    """None: switched off."""
    emc_percent: float | None = None
    """Use of the memory controller's bandwidth."""
    emc_mhz: int | None = None
    gpu_percent: float | None = None
    gpu_mhz: tuple[int, ...] = ()
    """One clock per graphics cluster; empty where only root is told."""
    temperatures_c: dict[str, float] = field(default_factory=dict)
    rails: dict[str, Rail] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    """Other engines as they are written, such as NVDEC: `40%@115` or `off`."""
    time_text: str = ""
    """The date and time that newer versions, or a logger, put in front."""
    unknown: tuple[str, ...] = ()
    """What was not understood; the rest of the line still counts."""

    @property
    def cpu_percent(self) -> float | None:
        """Mean load of the cores that are on, 0 to 100."""
        loads = [core.load_percent for core in self.cores if core is not None]
        return sum(loads) / len(loads) if loads else None

    @property
    def memory_percent(self) -> float | None:
        """Memory in use, shared by CPU and GPU, 0 to 100."""
        if self.ram_used_mb is None or not self.ram_total_mb:
            return None
        return 100 * self.ram_used_mb / self.ram_total_mb


@dataclass(frozen=True)
class TegraLog:
    """Lines that were understood, and what was not."""

    lines: tuple[TegraLine, ...]
    garbage: int
    """Lines that are no tegrastats lines; blank ones are not counted."""
    first_garbage: str = ""


def parse_log(lines: Iterable[str]) -> TegraLog:
    """Return all lines that are understood; the others are counted, not fatal."""
    found: list[TegraLine] = []
    garbage, first = 0, ""
    for text in lines:
        line = parse_line(text)
        if line is not None:
            found.append(line)
        elif text.strip():
            garbage += 1
            first = first or text.strip()[:100]
    return TegraLog(tuple(found), garbage, first)


_TIME = re.compile(r"\[(?P<logger>[^\]]{8,40})\]\s*:?\s*|(?P<own>\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)\s+")
_FORMS = {
    "ram": re.compile(r"RAM\s+(\d+)/(\d+)MB\s+\(lfb\s+\d+x\d+[kM]B\)"),
    "swap": re.compile(r"SWAP\s+(\d+)/(\d+)MB\s+\(cached\s+\d+MB\)"),
    "iram": re.compile(r"IRAM\s+\d+/\d+kB\s*\(lfb\s+\d+kB\)"),
    "cpu": re.compile(r"(?:CPU|cpu)\s+\[([^\]]*)\]"),
    "emc": re.compile(r"EMC(?:_FREQ)?\s+(\d+)%(?:@(\d+))?"),
    "gpu": re.compile(r"GR3D(?:_FREQ)?\s+(\d+)%(?:@(?:(\d+)|\[([\d,]*)\]))?"),
    "mts": re.compile(r"MTS\s+fg\s+\d+%\s+bg\s+\d+%"),
    "temperature": re.compile(r"(\w+)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?"),
    "rail": re.compile(r"(\w+)\s+(\d+)(?:mW)?/(\d+)(?:mW)?(?:/\d+(?:mW)?)?(?=\s|$)"),
    "engine": re.compile(r"([A-Z][A-Z0-9_]*)\s+(off|\d+%(?:@\d+)?|\d+)(?=\s|$)"),
}
_CORE = re.compile(r"(\d+)%@(\d+)")
_ABSENT_C = -200.0
"""Orin writes -256C for a sensor that is off."""


def parse_line(text: str) -> TegraLine | None:
    """Return what a line says, or None where it is no tegrastats line (no memory, no cores)."""
    text = text.strip()
    if len(text) > MAX_LINE:
        return None
    line = TegraLine()
    at = 0
    if (prefix := _TIME.match(text)) is not None:
        line.time_text = prefix["logger"] or prefix["own"]
        at = prefix.end()
    unknown: list[str] = []
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        for name, form in _FORMS.items():
            if (match := form.match(text, at)) is not None and _take(line, name, match):
                at = match.end()
                break
        else:
            word = text[at:].split(maxsplit=1)[0]
            unknown.append(word)
            at += len(word)
    line.unknown = tuple(unknown)
    return line if line.ram_total_mb is not None and line.cores else None


def _take(line: TegraLine, name: str, match: re.Match[str]) -> bool:
    """Store what one part of a line says; return whether it makes sense."""
    if name == "ram":
        line.ram_used_mb, line.ram_total_mb = int(match[1]), int(match[2])
    elif name == "swap":
        line.swap_used_mb, line.swap_total_mb = int(match[1]), int(match[2])
    elif name == "cpu":
        cores: list[Core | None] = []
        for part in match[1].split(","):
            core = _CORE.fullmatch(part)
            if core is None and part != "off":
                return False
            cores.append(None if core is None else Core(float(core[1]), int(core[2])))
        line.cores = tuple(cores)
    elif name == "emc":
        line.emc_percent = float(match[1])
        line.emc_mhz = None if match[2] is None else int(match[2])
    elif name == "gpu":
        line.gpu_percent = float(match[1])
        clocks = match[2] or match[3] or ""
        line.gpu_mhz = tuple(int(clock) for clock in clocks.split(",") if clock)
    elif name == "temperature":
        if float(match[2]) > _ABSENT_C:
            line.temperatures_c[match[1]] = float(match[2])
    elif name == "rail":
        if match[1] != "NC":  # not connected
            line.rails[match[1]] = Rail(int(match[2]), int(match[3]))
    elif name == "engine":
        line.engines[match[1]] = match[2]
    return True
