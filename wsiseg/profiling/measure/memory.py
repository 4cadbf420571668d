"""The most memory that a process held, from Linux's account of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsiseg.profiling.results import Figure, available, unavailable

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
MIB = 1 << 20


class PeakMemory:
    """Memory above what was held when this was made: weights, activations, and what the runtime loads."""

    def __init__(self) -> None:
        self._reason = ""
        self._try(self._set_base)

    def restart(self) -> None:
        """Let the peak count from now on; the base stays as it is."""
        self._try(lambda: _RESET.write_text("5", encoding="ascii"))  # see proc(5)

    def read(self) -> Figure:
        """Return the growth of the resident memory at its highest, in MiB."""
        if self._reason:
            return unavailable("MiB", self._reason, "run on Linux")
        return available(max(0, _kib("VmHWM") - self._before) * 1024 / MIB, "MiB")

    def _set_base(self) -> None:
        self._before = _kib("VmRSS")

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            self._reason = f"this system does not keep account of a process's peak memory ({error})"


def _kib(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0])
    raise OSError(f"{_STATUS} has no {key}")
