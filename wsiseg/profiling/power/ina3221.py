"""INA3221 power monitors of Jetson modules and carriers, through sysfs.

L4T up to R32 has `iio_device` folders with rail_name_N and in_powerN_input (mW); later kernels have hwmon
folders with inN_label, inN_input (mV) and currN_input (mA).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsiseg.profiling.power.source import read_number, read_text
from wsiseg.profiling.results import Missing
from wsiseg.profiling.tegrastats import INPUT_RAILS

NAME = "INA3221"
_FOLDERS = (
    "sys/bus/i2c/drivers/ina3221x/*/iio_device",
    "sys/bus/i2c/drivers/ina3221x/*/iio:device*",
    "sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*",
)
_CHANNELS = 4


@dataclass(frozen=True)
class _Rail:
    name: str
    power_mw: Path | None
    voltage_mv: Path | None = None
    current_ma: Path | None = None

    def watts(self) -> float:
        if self.power_mw is not None:
            return read_number(self.power_mw) / 1000
        if self.voltage_mv is None or self.current_ma is None:
            raise OSError(f"rail {self.name} has no voltage or current")
        return read_number(self.voltage_mv) * read_number(self.current_ma) / 1e6


class Ina3221Source:
    """The rails of all monitors, momentary power."""

    name = NAME

    def __init__(self, rails: list[_Rail]) -> None:
        self._rails = rails
        self.whole = frozenset(rail.name for rail in rails if rail.name in INPUT_RAILS)

    def read(self, now_s: float) -> dict[str, float]:
        """Return the power of each rail now, in W."""
        return {rail.name: rail.watts() for rail in self._rails}

    def close(self) -> None:
        """Hold nothing."""


def find(root: Path) -> Ina3221Source | Missing:
    """Return the rails, or why there are none to read."""
    rails: dict[str, _Rail] = {}
    for pattern in _FOLDERS:
        for folder in sorted(root.glob(pattern)):
            for channel in range(_CHANNELS):
                rail = _iio(folder, channel) or _hwmon(folder, channel)
                if rail is not None and rail.name not in rails and "NC" not in rail.name.split():
                    try:
                        rail.watts()
                    except OSError:
                        continue
                    rails[rail.name] = rail
    if rails:
        return Ina3221Source(list(rails.values()))
    return Missing(
        what=f"power: {NAME}",
        reason="no INA3221 monitor may be read under /sys/bus/i2c/drivers: no Jetson, or no right to",
        remedy="on a Jetson, run with sudo, or let tegrastats or jetson-stats read it",
    )


def _iio(folder: Path, channel: int) -> _Rail | None:
    try:
        name = read_text(folder / f"rail_name_{channel}")
    except OSError:
        return None
    return _Rail(name, folder / f"in_power{channel}_input")


def _hwmon(folder: Path, channel: int) -> _Rail | None:
    try:
        name = read_text(folder / f"in{channel}_label")
    except OSError:
        return None
    if name.lower().startswith("sum of"):  # of the shunt voltages: no rail
        return None
    return _Rail(name, None, folder / f"in{channel}_input", folder / f"curr{channel}_input")
