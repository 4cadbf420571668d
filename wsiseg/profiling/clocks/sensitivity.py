"""Sensitivity to GPU frequency, as the paper defines it: % change of time over % change of the clock.

Section 4.1: "a ratio of percentage change in execution time to the percentage change in GPU frequency". Both
changes are relative to the lower clock. Time falls as the clock rises; the ratio is of the magnitudes.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsiseg.errors import InputRefusedError
from wsiseg.models.card import plain
from wsiseg.profiling.published import PAPER_MHZ
from wsiseg.profiling.results import Measurement

COLUMNS = ("model", "gpu_mhz", "time_ms")
MAX_BYTES = 1 << 20
MIN_STEP = 1.02
"""Clocks nearer than this are one clock: the ratio of two small differences says nothing."""


@dataclass(frozen=True)
class Timed:
    """One network at one clock."""

    model: str
    gpu_mhz: float
    time_ms: float


@dataclass(frozen=True)
class Sensitivity:
    """Between two clocks."""

    model: str
    from_mhz: float
    to_mhz: float
    ratio: float


def sensitivity(low: Timed, high: Timed) -> float:
    """Return |% change of time| / |% change of the clock|, from the lower to the higher clock."""
    if not 0 < low.gpu_mhz < high.gpu_mhz or low.time_ms <= 0 or high.time_ms <= 0:
        raise InputRefusedError(
            f"{low.model}: a sensitivity needs two clocks that differ and times above 0, found "
            f"{low.time_ms:g} ms at {low.gpu_mhz:g} MHz and {high.time_ms:g} ms at {high.gpu_mhz:g} MHz"
        )
    time_change = abs(high.time_ms - low.time_ms) / low.time_ms
    return time_change / ((high.gpu_mhz - low.gpu_mhz) / low.gpu_mhz)


def sensitivities(timed: Iterable[Timed]) -> list[Sensitivity]:
    """Return each network's sensitivity between the clocks nearest to the paper's two, or its extremes.

    The paper's two are taken where the table has clocks within 10 % of them.
    """
    by_model: dict[str, list[Timed]] = defaultdict(list)
    for item in timed:
        by_model[item.model].append(item)
    found: list[Sensitivity] = []
    for model, items in by_model.items():
        items.sort(key=lambda item: item.gpu_mhz)
        low, high = _ends(items)
        if high.gpu_mhz < low.gpu_mhz * MIN_STEP:
            continue  # one clock, as read back twice
        found.append(Sensitivity(model, low.gpu_mhz, high.gpu_mhz, sensitivity(low, high)))
    return found


def of_measurements(measurements: Iterable[Measurement]) -> list[Sensitivity]:
    """Return the sensitivities of measurements whose clock was read, one image size at a time."""
    by_size: dict[str, list[Timed]] = defaultdict(list)
    for item in measurements:
        if item.gpu_clock.value:
            timed = Timed(item.model, item.gpu_clock.value, item.latency.median_ms)
            by_size[item.size].append(timed)
    return [
        Sensitivity(f"{found.model} {size}" if len(by_size) > 1 else found.model, *_numbers(found))
        for size, timed_at in by_size.items()
        for found in sensitivities(timed_at)
    ]


def read_timed(path: Path) -> list[Timed]:
    """Return the rows of a CSV with the columns model, gpu_mhz and time_ms. Raises InputRefusedError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputRefusedError(f"{path.name}: over {MAX_BYTES} bytes is no table of clocks and times")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefusedError(f"{path}: cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text))
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise InputRefusedError(
            f"{path.name}: has the columns {plain(', '.join(reader.fieldnames or ())) or 'none'}: "
            f"expected {', '.join(COLUMNS)}"
        )
    found: list[Timed] = []
    for number, row in enumerate(reader, start=2):
        try:
            item = Timed(str(row["model"]), float(row["gpu_mhz"]), float(row["time_ms"]))
        except (TypeError, ValueError) as error:
            raise InputRefusedError(f"{path.name}, line {number}: {plain(str(error))}") from error
        if not (0 < item.gpu_mhz < 1e6 and 0 < item.time_ms < 1e9):
            raise InputRefusedError(
                f"{path.name}, line {number}: expected a clock in MHz and a time in ms above 0"
            )
        found.append(item)
    if not sensitivities(found):
        raise InputRefusedError(f"{path.name}: no network was timed at two clocks")
    return found


def _ends(items: Sequence[Timed]) -> tuple[Timed, Timed]:
    """Return the two to compare, of items in ascending order of their clocks."""
    near = [min(items, key=lambda item: abs(item.gpu_mhz - mhz)) for mhz in PAPER_MHZ]
    if all(abs(item.gpu_mhz - mhz) <= mhz / 10 for item, mhz in zip(near, PAPER_MHZ, strict=True)):
        return near[0], near[1]
    return items[0], items[-1]


def _numbers(found: Sensitivity) -> tuple[float, float, float]:
    return found.from_mhz, found.to_mhz, found.ratio
