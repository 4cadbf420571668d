"""A thread that reads power and utilisation at a steady pace while something else is measured."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path

from wsiseg.profiling.clocks.gpu import find_gpu_clock
from wsiseg.profiling.measure.machine import find_utilisations
from wsiseg.profiling.power.source import ROOT, PowerSource, find_sources
from wsiseg.profiling.results import Figure, Missing, Power, Utilisation, available, unavailable

PERIOD_S = 0.1


class Sampler:
    """Readings of every source that answers, by monotonic time; a source that fails is left out and named."""

    def __init__(self, root: Path = ROOT, period_s: float = PERIOD_S) -> None:
        self.sources, self.missing = find_sources(root)
        self._use = find_utilisations(root)
        self.missing += self._use.missing
        self.power: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        """(source, rail) -> (monotonic seconds, W)."""
        self.use: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._clock = find_gpu_clock(root)
        self.mhz: list[tuple[float, float]] = []
        self._period_s = period_s
        self._stop = threading.Event()
        self._failed: set[str] = set()
        self._thread = threading.Thread(target=self._follow, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()
        for source in self.sources:
            source.close()

    def sample(self) -> None:
        """Read everything once."""
        for source in self.sources:
            if source.name in self._failed:
                continue
            now = time.monotonic()
            try:
                for rail, watts in source.read(now).items():
                    self.power[source.name, rail].append((now, watts))
            except OSError as error:
                self._fail(source, error)
        if not isinstance(self._clock, Missing) and (mhz := self._clock.current_mhz()) is not None:
            self.mhz.append((time.monotonic(), mhz))
        for what, read in self._use.readers.items():
            if what in self._failed:
                continue
            try:
                share = read()
            except (OSError, ValueError, IndexError) as error:
                self._failed.add(what)
                self.missing.append(
                    Missing(
                        what=f"utilisation: {what}",
                        reason=f"reading failed on the way: {error}",
                        remedy="run again",
                    )
                )
                continue
            if share is not None:
                self.use[what].append((time.monotonic(), share))

    def powers(self, executing: tuple[float, float], idle: tuple[float, float], images: int) -> list[Power]:
        """Return the mean power per rail while executing, beside the idle one (monotonic seconds)."""
        whole = {source.name: source.whole for source in self.sources}
        found: list[Power] = []
        for (source, rail), points in self.power.items():
            busy = mean_between(points, executing)
            if busy is None:
                continue
            gross, samples = busy
            before = mean_between(points, idle)
            found.append(
                Power(
                    source=source,
                    rail=rail,
                    whole=rail in whole[source],
                    gross_w=gross,
                    idle_w=_idle(before),
                    samples=samples,
                    energy_per_image_j=gross * (executing[1] - executing[0]) / images,
                )
            )
        return found

    def utilisations(self, begin: float, end: float) -> tuple[Utilisation, ...]:
        """Return what was read between two monotonic times; seconds count from the first."""
        return tuple(
            Utilisation(
                what=what,  # type: ignore[arg-type]  # the readers' keys are the literals
                points=tuple((at - begin, share) for at, share in points if begin <= at <= end),
                note=self._use.notes[what],
            )
            for what, points in self.use.items()
        )

    def gpu_clock(self, executing: tuple[float, float]) -> Figure:
        """Return the GPU's mean clock while executing, in MHz."""
        if isinstance(self._clock, Missing):
            return unavailable("MHz", self._clock.reason, self._clock.remedy)
        found = mean_between(self.mhz, executing)
        if found is None:
            return unavailable(
                "MHz", "no reading fell into the execution", "give --trials or --min-seconds more"
            )
        return available(found[0], "MHz")

    def _follow(self) -> None:
        while not self._stop.wait(self._period_s):
            self.sample()

    def _fail(self, source: PowerSource, error: OSError) -> None:
        self._failed.add(source.name)
        self.missing.append(
            Missing(
                what=f"power: {source.name}",
                reason=f"reading failed on the way: {error}",
                remedy="run again",
            )
        )


def mean_between(points: list[tuple[float, float]], span: tuple[float, float]) -> tuple[float, int] | None:
    """Return the mean of the values within a time span and their count; None where there are none."""
    values = [value for at, value in points if span[0] <= at <= span[1]]
    return (sum(values) / len(values), len(values)) if values else None


def _idle(found: tuple[float, int] | None) -> Figure:
    if found is None:
        return unavailable("W", "no reading fell into the idle time", "give --idle-seconds more")
    return available(found[0], "W")
