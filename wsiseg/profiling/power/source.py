"""What every power source offers, and the search for those that answer here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from wsiseg.profiling.results import Missing

ROOT = Path("/")


class PowerSource(Protocol):
    """Something that says how much power flows."""

    name: str
    whole: frozenset[str]
    """Rails that carry the whole device or module; the others are parts of it."""

    def read(self, now_s: float) -> dict[str, float]:
        """Return the power of each rail in W: now, or the mean since the last call for energy counters.

        An energy counter returns nothing at its first call. Raises OSError where reading fails.
        """
        ...

    def close(self) -> None:
        """Release what the source holds."""
        ...


def find_sources(root: Path = ROOT) -> tuple[list[PowerSource], list[Missing]]:
    """Return the sources that answer on this machine, and why the others do not."""
    from wsiseg.profiling.power import battery, ina3221, jetson_stats, nvml, rapl, tegrastats

    found: list[PowerSource] = []
    missing: list[Missing] = []

    def keep(answer: PowerSource | Missing) -> bool:
        if isinstance(answer, Missing):
            missing.append(answer)
            return False
        found.append(answer)
        return True

    keep(nvml.find())
    keep(rapl.find(root))
    # The three of a Jetson read the same sensors: the most direct one that answers is enough.
    if not keep(ina3221.find(root)) and not keep(tegrastats.find()):
        keep(jetson_stats.find())
    keep(battery.find(root))
    return found, missing


def read_text(path: Path) -> str:
    """Return a sysfs attribute without its line end. Raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


def read_number(path: Path) -> float:
    """Return a number in a sysfs attribute. Raises OSError, also where it holds no number."""
    text = read_text(path)
    try:
        return float(text.split()[0])
    except (ValueError, IndexError) as error:
        raise OSError(f"{path} holds {text[:40]!r}, no number") from error
