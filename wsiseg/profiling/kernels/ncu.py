"""Nsight Compute's CSV, in both of its forms: one row per metric (details), or one column per metric (raw).

ncu --csv --page raw --metrics ... PROGRAM
"""

from __future__ import annotations

import math
from collections import defaultdict

from wsiseg.errors import InputRefusedError
from wsiseg.profiling.kernels.counters import COUNTERS, NCU_TIME, Kernel, report
from wsiseg.profiling.kernels.tables import SECONDS, number, tables
from wsiseg.profiling.results import KernelReport

METRICS = (NCU_TIME, *(counter.ncu for counter in COUNTERS))
_LONG = {"ID", "Kernel Name", "Metric Name", "Metric Unit", "Metric Value"}
_WIDE = {"ID", "Kernel Name", NCU_TIME}
Launch = dict[str, tuple[str, str]]
"""Metric -> (unit, value), as printed."""


def is_ncu(text: str) -> bool:
    """Whether this is output of Nsight Compute with a table in it."""
    return any(tables(text, headings=_LONG)) or any(tables(text, headings=_WIDE))


def read_ncu(text: str, model: str) -> KernelReport:
    """Return the report of a run. Raises InputRefusedError where there is no table of kernels."""
    launches = _long(text) or _wide(text)
    if not launches:
        raise InputRefusedError(
            f"no table of Nsight Compute with {NCU_TIME} found: expected the output of ncu --csv"
        )
    kernels: dict[str, Kernel] = {}
    weights: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for name, launch in launches:
        time_s = _seconds(launch.get(NCU_TIME))
        if time_s is None:
            continue
        kernel = kernels.setdefault(name, Kernel(name))
        kernel.time_s += time_s
        kernel.calls += 1
        for counter in COUNTERS:
            value = number(launch.get(counter.ncu, ("", ""))[1])
            if value is not None and value > 0:
                weights[name, counter.nvprof].append((time_s, value * counter.ncu_scale))
    for (name, counter_name), pairs in weights.items():
        total = math.fsum(time_s for time_s, _ in pairs)
        mean = math.fsum(time_s * value for time_s, value in pairs) / total if total else 0.0
        kernels[name].percent[counter_name] = mean
    return report(model, "ncu", list(kernels.values()))


def _long(text: str) -> list[tuple[str, Launch]]:
    launches: dict[tuple[str, str], tuple[str, Launch]] = {}
    for table in tables(text, headings=_LONG):
        for row in table:
            key = (row.get("Process ID", ""), row["ID"])
            _, launch = launches.setdefault(key, (row["Kernel Name"], {}))
            launch[row["Metric Name"]] = (row["Metric Unit"], row["Metric Value"])
    return list(launches.values())


def _wide(text: str) -> list[tuple[str, Launch]]:
    found: list[tuple[str, Launch]] = []
    for table in tables(text, headings=_WIDE):
        units = next((row for row in table if not row["ID"]), {})
        for row in table:
            if row["ID"]:
                found.append(
                    (row["Kernel Name"], {name: (units.get(name, ""), row.get(name, "")) for name in METRICS})
                )
    return found


def _seconds(cell: tuple[str, str] | None) -> float | None:
    if cell is None or cell[0] not in SECONDS:
        return None
    value = number(cell[1])
    return None if value is None or value <= 0 else value * SECONDS[cell[0]]
