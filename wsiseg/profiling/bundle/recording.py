"""The two logs of a device, by monotonic time: what tegrastats printed, and what sysfs said."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field

from wsiseg.profiling.measure.sampling import mean_between
from wsiseg.profiling.results import Figure, Missing, Power, Utilisation, available, unavailable
from wsiseg.profiling.tegrastats import INPUT_RAILS, parse_line

Series = list[tuple[float, float]]
MORE = "run the bundle with more --trials or --min-samples"


@dataclass
class Recording:
    """Readings of a whole run."""

    lines: int = 0
    garbage: int = 0
    """Lines in the tegrastats log that are not tegrastats's, or have no time."""
    first_garbage: str = ""
    power: dict[tuple[str, str], Series] = field(default_factory=lambda: defaultdict(list))
    """(source, rail) -> (monotonic seconds, W)."""
    use: dict[str, Series] = field(default_factory=lambda: defaultdict(list))
    """cpu, gpu, memory -> shares."""
    gpu_mhz: Series = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def powers(
        self, executing: tuple[float, float], idle: tuple[float, float], images: int
    ) -> tuple[Power, ...]:
        """Return the mean power per rail while executing, beside the idle one."""
        found: list[Power] = []
        for (source, rail), points in self.power.items():
            busy, before = mean_between(points, executing), mean_between(points, idle)
            if busy is None:
                continue
            found.append(
                Power(
                    source=source,
                    rail=rail,
                    whole=rail in INPUT_RAILS,
                    gross_w=busy[0],
                    idle_w=unavailable("W", "no reading in the idle time", MORE)
                    if before is None
                    else available(before[0], "W"),
                    samples=busy[1],
                    energy_per_image_j=busy[0] * max(0.0, executing[1] - executing[0]) / images,
                )
            )
        return tuple(found)

    def utilisations(self, begin: float, end: float) -> tuple[Utilisation, ...]:
        """Return the shares between two times; seconds count from the first."""
        return tuple(
            Utilisation(
                what=what,  # type: ignore[arg-type]  # only these three are filled in
                points=tuple((at - begin, min(1.0, share)) for at, share in points if begin <= at <= end),
                note="as tegrastats says" if self.lines else "as sysfs says",
            )
            for what, points in self.use.items()
        )

    def gpu_clock(self, executing: tuple[float, float]) -> Figure:
        """Return the GPU's mean clock while executing."""
        found = mean_between(self.gpu_mhz, executing)
        if found is None:
            return unavailable("MHz", "neither sysfs nor tegrastats said it then", "run with sudo; " + MORE)
        return available(found[0], "MHz")


def read_recording(tegrastats: str, sysfs: str) -> Recording:
    """Return both logs; lines that are not understood are counted."""
    found = Recording()
    clocks: Series = []
    for text in tegrastats.splitlines():
        stamp, _, rest = text.partition(" ")
        line, at = parse_line(rest), _time(stamp)
        if line is None or at is None:
            found.garbage += bool(text.strip())
            found.first_garbage = found.first_garbage or (rest.strip() or text.strip())[:200]
            continue
        found.lines += 1
        for name, rail in line.rails.items():
            found.power["tegrastats", name].append((at, rail.now_mw / 1000))
        for what, percent in (
            ("cpu", line.cpu_percent),
            ("gpu", line.gpu_percent),
            ("memory", line.memory_percent),
        ):
            if percent is not None:
                found.use[what].append((at, percent / 100))
        if line.gpu_mhz:
            clocks.append((at, line.gpu_mhz[0]))
    _add_sysfs(found, sysfs)
    found.gpu_mhz = found.gpu_mhz or clocks
    if not found.lines:
        found.missing.append(
            Missing(
                what="tegrastats",
                reason="its log is absent or empty",
                remedy="see the notes; on a Jetson, tegrastats is part of the system",
            )
        )
    if not found.power:
        found.missing.append(
            Missing(
                what="power rails",
                reason="neither tegrastats nor sysfs named one",
                remedy="some modules (TX2 NX) have no sensors: measure the supply outside of the module",
            )
        )
    return found


def _add_sysfs(found: Recording, text: str) -> None:
    loads: Series = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            at = float(entry["t"])
            rails = {str(name): float(mw) for name, mw in entry["rails_mw"].items() if mw is not None}
            hertz, load = entry["gpu_hz"], entry["gpu_load"]
            numbers = [at, *rails.values(), *(float(item) for item in (hertz, load) if item is not None)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # the last line of a run that was ended may be cut
        if not all(math.isfinite(item) and item >= 0 for item in numbers):
            continue
        for name, milliwatts in rails.items():
            found.power["INA3221", name[:100]].append((at, milliwatts / 1000))
        if hertz is not None:
            found.gpu_mhz.append((at, float(hertz) / 1e6))
        if load is not None:
            loads.append((at, float(load) / 1000))
    if "gpu" not in found.use and loads:
        found.use["gpu"] = loads


def _time(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
