"""What this machine is, and how busy it is: Linux's /proc and /sys, NVML where there is a GPU."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wsiseg.profiling.nvml_library import Nvml, open_nvml
from wsiseg.profiling.power.source import ROOT, read_number
from wsiseg.profiling.results import Missing

_GPU_LOADS = ("sys/devices/gpu.0/load", "sys/devices/*.gp10b/load", "sys/devices/platform/*.gpu/load")
"""Tegra: tenths of a percent."""


@dataclass
class Utilisations:
    """Readers of the shares of CPU, GPU and memory in use, 0 to 1, and why some are not there."""

    readers: dict[str, Callable[[], float | None]]
    notes: dict[str, str]
    missing: list[Missing] = field(default_factory=list)


def find_utilisations(root: Path = ROOT) -> Utilisations:
    """Return what can be read on this machine."""
    found = Utilisations({}, {})
    if (root / "proc/stat").is_file():
        found.readers["cpu"] = CpuLoad(root / "proc/stat").read
        found.notes["cpu"] = "all CPUs of the machine together, whoever uses them"
    else:
        found.missing.append(_no_proc("utilisation: cpu"))
    if (root / "proc/meminfo").is_file():
        found.readers["memory"] = lambda: memory_share(root / "proc/meminfo")
        found.notes["memory"] = "the machine's memory, whoever uses it"
    else:
        found.missing.append(_no_proc("utilisation: memory"))
    load = next((path for pattern in _GPU_LOADS for path in sorted(root.glob(pattern))), None)
    nvml = open_nvml()
    if isinstance(nvml, Nvml):
        found.readers["gpu"] = lambda: nvml.utilisation(nvml.handles[0])
        found.notes["gpu"] = "share of the time in which a kernel ran on GPU 0"
    elif load is not None:
        found.readers["gpu"] = lambda: read_number(load) / 1000
        found.notes["gpu"] = "the Tegra driver's load"
    else:
        found.missing.append(Missing(what="utilisation: gpu", reason=nvml.reason, remedy=nvml.remedy))
    return found


class CpuLoad:
    """Share of all CPUs' time that was not idle, between two reads of /proc/stat."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before: tuple[float, float] | None = None

    def read(self) -> float | None:
        """Return the share since the last call, 0 to 1; None at the first one."""
        words = self._file.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].split()
        # user nice system idle iowait irq softirq steal; guest time is in user already
        times = [float(word) for word in words[1:9]]
        total, idle = sum(times), times[3] + times[4]
        before, self._before = self._before, (total, idle)
        if before is None or total <= before[0]:
            return None
        return min(1.0, max(0.0, 1 - (idle - before[1]) / (total - before[0])))


def memory_share(file: Path) -> float | None:
    """Return the share of the memory that is in use, 0 to 1, of a file like /proc/meminfo."""
    sizes: dict[str, float] = {}
    for line in file.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            sizes[name] = float(rest.split()[0])
    if sizes.keys() != {"MemTotal", "MemAvailable"} or not sizes["MemTotal"]:
        return None
    return 1 - sizes["MemAvailable"] / sizes["MemTotal"]


def describe_machine(root: Path = ROOT) -> dict[str, str]:
    """Return what this machine is, for the head of a report; no host name, no user."""
    found = {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(root) or platform.processor() or "not said",
    }
    model = root / "proc/device-tree/model"
    if model.is_file():
        found["board"] = model.read_text(encoding="ascii", errors="replace").strip("\0\n ")
    nvml = open_nvml()
    if isinstance(nvml, Nvml):
        found["gpu"] = ", ".join(nvml.name(handle) for handle in nvml.handles)
        nvml.close()
    return found


def _processor(root: Path) -> str | None:
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return None


def _no_proc(what: str) -> Missing:
    return Missing(
        what=what, reason="read from /proc, which this system does not have", remedy="run on Linux"
    )
