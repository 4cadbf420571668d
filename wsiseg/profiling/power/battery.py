"""A laptop's battery: the rate at which it discharges, from Linux's power-supply class.

Source: https://docs.kernel.org/power/power_supply_class.html (power_now in uW, or voltage_now in uV times
current_now in uA). It carries the whole machine, screen included, and means something without mains only.
"""

from __future__ import annotations

from pathlib import Path

from wsiseg.profiling.power.source import read_number, read_text
from wsiseg.profiling.results import Missing

NAME = "battery"


class BatterySource:
    """Batteries that are discharging."""

    name = NAME

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self.whole = frozenset([NAME])

    def read(self, now_s: float) -> dict[str, float]:
        """Return the discharge of all batteries together, in W; nothing once the mains are back."""
        if not all(read_text(folder / "status") == "Discharging" for folder in self._folders):
            return {}
        return {NAME: sum(_watts(folder) for folder in self._folders)}

    def close(self) -> None:
        """Hold nothing."""


def find(root: Path) -> BatterySource | Missing:
    """Return the batteries, or why there is nothing to read."""
    batteries: list[Path] = []
    for folder in sorted((root / "sys/class/power_supply").glob("*")):
        try:
            # A mouse has a battery too: its scope is Device.
            scope = read_text(folder / "scope") if (folder / "scope").exists() else "System"
            if read_text(folder / "type") == "Battery" and scope != "Device":
                batteries.append(folder)
        except OSError:
            continue
    if not batteries:
        return Missing(what="power: battery", reason="this machine has no battery", remedy="none needed")
    discharging: list[Path] = []
    for folder in batteries:
        try:
            if read_text(folder / "status") == "Discharging":
                _watts(folder)
                discharging.append(folder)
        except OSError as error:
            return Missing(
                what="power: battery",
                reason=f"the battery does not say its discharge: {error}",
                remedy="use another source of power readings",
            )
    if not discharging:
        return Missing(
            what="power: battery",
            reason="the battery is not discharging: the machine runs on mains",
            remedy="unplug the machine and run again",
        )
    return BatterySource(discharging)


def _watts(folder: Path) -> float:
    if (folder / "power_now").exists():
        return abs(read_number(folder / "power_now")) / 1e6
    return abs(read_number(folder / "voltage_now") * read_number(folder / "current_now")) / 1e12
