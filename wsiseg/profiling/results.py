"""What a profiling run leaves behind, typed: results.json, whatever machine it comes from.

Times are seconds since the start of a measurement, powers watts, shares 0 to 1. A results file is other
people's input: it is checked on reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsiseg.errors import InputRefusedError
from wsiseg.models.card import plain

MAX_BYTES = 64 << 20
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=2000)]
Point = tuple[Finite, Finite]
"""Seconds since the start of the measurement, value."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Missing(_Strict):
    """Something that could not be read here, why, and what would help."""

    what: Text
    reason: Text
    remedy: Text


class Figure(_Strict):
    """A number, or why there is none."""

    value: Finite | None
    unit: Text
    reason: Text = ""
    remedy: Text = ""

    @model_validator(mode="after")
    def _has_value_or_reason(self) -> Self:
        if (self.value is None) != bool(self.reason):
            raise ValueError("a figure has either a value or a reason why it is missing")
        return self


class Latency(_Strict):
    """Times of single calls, from RGB bytes in memory to class ids in memory."""

    times_ms: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1_000_000)]
    warm_up: Annotated[int, Field(ge=0)]

    @property
    def trials(self) -> int:
        """Calls that were timed."""
        return len(self.times_ms)

    @property
    def median_ms(self) -> float:
        """Median time of a call."""
        return percentile(self.times_ms, 50)

    @property
    def mean_ms(self) -> float:
        """Mean time of a call, which the paper reports."""
        return math.fsum(self.times_ms) / len(self.times_ms)

    @property
    def spread_ms(self) -> tuple[float, float]:
        """5th and 95th percentile."""
        return percentile(self.times_ms, 5), percentile(self.times_ms, 95)

    @property
    def fps(self) -> float:
        """Images per second, 1 / median."""
        return 1000 / self.median_ms


class Power(_Strict):
    """One rail of one source, over the timed calls."""

    source: Text
    rail: Text
    whole: bool
    """Whether the rail carries the whole module, board or device."""
    gross_w: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Mean during execution: what the paper reports."""
    idle_w: Figure
    """Mean before anything was loaded."""
    samples: Annotated[int, Field(ge=1)]
    energy_per_image_j: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Gross power times the execution phase, over the images of the phase."""

    @property
    def net_w(self) -> float | None:
        """Gross less idle; None where there is no idle baseline."""
        return None if self.idle_w.value is None else self.gross_w - self.idle_w.value


class Utilisation(_Strict):
    """Use of one resource over time, with the initialisation; `Measurement.executing` says when it ended."""

    what: Literal["cpu", "gpu", "memory"]
    points: tuple[Point, ...]
    note: Text = ""


class Operator(_Strict):
    """One kind of operator or kernel, and its share of all of their time."""

    name: Text
    share: Share
    calls: Annotated[int, Field(ge=0)]


class Measurement(_Strict):
    """One network at one image size on one machine."""

    model: Text
    trained: bool
    parameters: Annotated[int, Field(ge=0)]
    file_bytes: Annotated[int, Field(ge=0)]
    """The network's size on disk, uncompressed 32-bit weights."""
    flops: Annotated[int, Field(ge=0)]
    """For one image, a multiplication and an addition counted as two."""
    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    runtime: Text
    precision: Text
    device: Text
    threads: Annotated[int, Field(ge=0)] = 0
    latency: Latency
    initialise_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    executing: tuple[Finite, Finite]
    """When the timed calls began and ended."""
    images: Annotated[int, Field(ge=1)]
    """Calls within `executing`."""
    peak_memory: Figure
    power: tuple[Power, ...] = ()
    utilisation: tuple[Utilisation, ...] = ()
    operators: Annotated[tuple[Operator, ...], Field(max_length=10)] = ()
    operators_of: Text = ""
    gpu_clock: Figure
    """MHz, as read back."""
    power_mode: Text = ""
    agreement: Figure
    """Share of labels equal to the reference labels."""
    missing: tuple[Missing, ...] = ()

    @property
    def size(self) -> str:
        """Width x height of the image, in px."""
        return f"{self.width_px}x{self.height_px}"

    def whole_power(self) -> Power | None:
        """Return the rail that carries everything, or the first one where no rail is known to."""
        whole = [item for item in self.power if item.whole]
        return next(iter([*whole, *self.power]), None)

    def mean_utilisation(self, what: str) -> float | None:
        """Return the mean share during execution; None where nothing was read then."""
        begin, end = self.executing
        for series in self.utilisation:
            if series.what == what:
                shares = [value for at, value in series.points if begin <= at <= end]
                return math.fsum(shares) / len(shares) if shares else None
        return None


class Efficiency(_Strict):
    """One efficiency of a network's kernels, weighted by their time."""

    name: Text
    """As nvprof calls it, such as warp_execution_efficiency."""
    percent: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    covered: Share
    """Share of the kernels' time for which the counter was there."""


class KernelReport(_Strict):
    """What the kernel counters of one run say."""

    model: Text
    tool: Literal["nvprof", "ncu"]
    efficiencies: tuple[Efficiency, ...] = ()
    top: Annotated[tuple[Operator, ...], Field(max_length=10)] = ()
    missing: tuple[Missing, ...] = ()


class Results(_Strict):
    """Everything of one profiling run."""

    format: Literal["wsiseg-profile-1"] = "wsiseg-profile-1"
    machine: dict[Text, Text]
    measurements: tuple[Measurement, ...] = ()
    kernels: tuple[KernelReport, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[Text, ...] = ()


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, linear between neighbours, as numpy does by default."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def available(value: float, unit: str) -> Figure:
    """Return a figure that was read."""
    return Figure(value=value, unit=unit)


def unavailable(unit: str, reason: str, remedy: str) -> Figure:
    """Return a figure that could not be read."""
    return Figure(value=None, unit=unit, reason=reason, remedy=remedy)


def parse_results(data: bytes, where: str) -> Results:
    """Return checked results. Raises InputRefusedError, naming the first key that is wrong."""
    if len(data) > MAX_BYTES:
        raise InputRefusedError(f"{where}: {len(data)} bytes are no profiling results: at most {MAX_BYTES}")
    try:
        return Results.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputRefusedError(
            f"{where}: no profiling results: wrong at {plain(key)}: {plain(first['msg'])}"
        ) from error


def read_results(path: Path) -> Results:
    """Return the results in a file. Raises InputRefusedError where there are none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputRefusedError(f"{path.name}: too large for profiling results (over {MAX_BYTES} bytes)")
        data = path.read_bytes()
    except OSError as error:
        raise InputRefusedError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_results(data, path.name)
