"""nvprof's CSV: one run for the times, one for the metrics (replaying kernels for counters distorts times).

nvprof --csv --log-file times.csv PROGRAM
nvprof --csv --log-file metrics.csv --metrics warp_execution_efficiency,... PROGRAM
"""

from __future__ import annotations

from collections.abc import Iterable

from wsiseg.errors import InputRefusedError
from wsiseg.profiling.kernels.counters import COUNTERS, Kernel, report
from wsiseg.profiling.kernels.tables import SECONDS, number, tables
from wsiseg.profiling.results import KernelReport, Missing

_TIMES = {"Time(%)", "Time", "Calls", "Name"}
_METRICS = {"Kernel", "Invocations", "Metric Name", "Avg"}
METRICS = tuple(counter.nvprof for counter in COUNTERS)


def is_nvprof(text: str) -> bool:
    """Whether this is output of nvprof."""
    return any(tables(text, headings=_TIMES)) or any(tables(text, headings=_METRICS))


def read_nvprof(texts: Iterable[str], model: str) -> KernelReport:
    """Return the report of one run's files, times and metrics in any order.

    Copies between memories are in the table of times, but are no kernels: left out. So are the API calls,
    which nvprof prints as a second table of the same form. Raises InputRefusedError where there is no table.
    """
    kernels: dict[str, Kernel] = {}
    found = False
    for text in texts:
        for table in tables(text, headings=_TIMES):
            found = True
            _add_times(kernels, table)
        for table in tables(text, headings=_METRICS):
            found = True
            for row in table:
                value = number(row["Avg"])
                if row["Metric Name"] in METRICS and value is not None and value >= 0:
                    kernel = kernels.setdefault(row["Kernel"], Kernel(row["Kernel"]))
                    kernel.percent[row["Metric Name"]] = value
    if not found:
        raise InputRefusedError(
            "no table of nvprof found: expected the output of nvprof --csv, with or without --metrics"
        )
    return report(model, "nvprof", list(kernels.values()), _untimed(kernels.values()))


def _add_times(kernels: dict[str, Kernel], table: list[dict[str, str]]) -> None:
    # Under the heading stands a row of units; times may be in s, ms, us or ns.
    unit = next((row["Time"] for row in table if row["Time"] in SECONDS), None)
    for row in table:
        name, value, calls = row["Name"], number(row["Time"]), number(row["Calls"])
        is_api = row.get("Type") == "API calls" or _is_api_call(name)
        if value is None or calls is None or unit is None or name.startswith("[CUDA mem") or is_api:
            continue
        kernel = kernels.setdefault(name, Kernel(name))
        kernel.time_s += value * SECONDS[unit]
        kernel.calls += round(calls)


def _is_api_call(name: str) -> bool:
    """Whether this is a function of the CUDA runtime or driver; kernels may start with cu, but not so."""
    for prefix in ("cuda", "cu"):
        rest = name.removeprefix(prefix)
        if rest != name and rest[:1].isupper() and "(" not in name and "<" not in name:
            return True
    return False


def _untimed(kernels: Iterable[Kernel]) -> list[Missing]:
    names = [kernel.name for kernel in kernels if kernel.percent and kernel.time_s <= 0]
    if not names:
        return []
    return [
        Missing(
            what=f"the time of {len(names)} kernels that have counters",
            reason=f"not in the table of times, such as {names[0][:100]}",
            remedy="record times and metrics of the same program",
        )
    ]
