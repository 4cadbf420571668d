"""RAPL: energy counters of Intel and AMD processors, through Linux powercap.

Source: https://docs.kernel.org/power/powercap/powercap.html (energy_uj counts up and wraps at
max_energy_range_uj). `package-*` is the processor without the rest of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsiseg.profiling.power.source import read_number, read_text
from wsiseg.profiling.results import Missing

NAME = "RAPL"


@dataclass
class _Counter:
    rail: str
    file: Path
    wraps_uj: float
    last: tuple[float, float] | None = None
    """Seconds and microjoules."""


class RaplSource:
    """The energy counters that may be read here."""

    name = NAME

    def __init__(self, counters: list[_Counter]) -> None:
        self._counters = counters
        self.whole: frozenset[str] = frozenset()

    def read(self, now_s: float) -> dict[str, float]:
        """Return the mean power per domain in W since the last call; nothing at the first."""
        found: dict[str, float] = {}
        for counter in self._counters:
            energy = read_number(counter.file)
            before, counter.last = counter.last, (now_s, energy)
            if before is None or now_s <= before[0]:
                continue
            used = energy - before[1]
            if used < 0:
                used += counter.wraps_uj
            found[counter.rail] = used / 1e6 / (now_s - before[0])
        return found

    def close(self) -> None:
        """Hold nothing."""


def find(root: Path) -> RaplSource | Missing:
    """Return the counters, or why there are none to read."""
    base = root / "sys/class/powercap"
    counters: list[_Counter] = []
    refused = False
    for folder in sorted(base.glob("*-rapl:*")) if base.is_dir() else []:
        try:
            rail = read_text(folder / "name")
            read_number(folder / "energy_uj")
            counters.append(
                _Counter(
                    f"{rail} {folder.name.partition(':')[2]}",
                    folder / "energy_uj",
                    read_number(folder / "max_energy_range_uj"),
                )
            )
        except PermissionError:
            refused = True
        except OSError:
            continue
    if counters:
        return RaplSource(counters)
    if refused:
        return Missing(
            what=f"power: {NAME}",
            reason="the energy counters are there, but only root may read them",
            remedy="sudo chmod a+r /sys/class/powercap/*-rapl:*/energy_uj, or run as root",
        )
    return Missing(
        what=f"power: {NAME}",
        reason="no energy counters in /sys/class/powercap: no Linux, another processor, or a virtual machine",
        remedy="run on the machine itself, with the kernel module intel_rapl_msr or intel_rapl_common loaded",
    )
