"""Clocks tried one after the other, and put back whatever happens.

The state before is written to a file first, so that even a killed sweep can be undone: `--restore FILE`.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models.checkpoint import write_atomically
from wsiseg.profiling.clocks.gpu import GpuClock, nearest_mhz
from wsiseg.profiling.published import PAPER_MHZ

STATE_FILE = "clocks-before.json"


def choose_clocks(allowed: Sequence[float], count: int = 5) -> list[float]:
    """Return clocks to try: the ends, those nearest to the paper's two, and some between, ascending."""
    if not allowed:
        raise UsageError("this GPU names no clock that can be chosen: there is nothing to sweep")
    ordered = sorted(set(allowed))
    chosen = {ordered[0], ordered[-1]}
    if ordered[0] <= PAPER_MHZ[0] and ordered[-1] >= PAPER_MHZ[1]:
        chosen |= {nearest_mhz(ordered, mhz) for mhz in PAPER_MHZ}
    for step in range(1, count - 1):
        if len(chosen) >= count:
            break
        chosen.add(ordered[round(step * (len(ordered) - 1) / (count - 1))])
    return sorted(chosen)


def describe_sweep(clock: GpuClock, clocks: Sequence[float], models: Sequence[str]) -> list[str]:
    """Return what a sweep would do, in words."""
    before = ", ".join(f"{key} {value}" for key, value in clock.state().items()) or "its automatic clocks"
    return [
        f"{clock.name}: would be fixed to {', '.join(f'{mhz:g}' for mhz in clocks)} MHz, one after the other",
        f"at each clock: {', '.join(models)} measured",
        f"afterwards, and when interrupted: put back to {before}",
    ]


@contextmanager
def restoring(clock: GpuClock, folder: Path) -> Iterator[None]:
    """Put the clocks back at the end of the block: after success, an error, Ctrl-C or SIGTERM."""
    state_file = folder / STATE_FILE
    if state_file.exists():
        raise UsageError(
            f"{state_file}: a sweep before this one did not put the clocks back; run "
            f"`wsiseg profile clocks --restore {state_file}` first"
        )
    state = clock.state()
    write_atomically(state_file, json.dumps({"clock": clock.name, "state": state}, indent=2).encode())
    jetson = _jetson_clocks("--store", folder / "jetson-clocks-before.conf")
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        try:
            clock.restore(state)
            if jetson:
                _jetson_clocks("--restore", folder / "jetson-clocks-before.conf")
            state_file.unlink(missing_ok=True)
        finally:
            signal.signal(signal.SIGTERM, before)


def restore_from(clock: GpuClock, state_file: Path) -> None:
    """Put back what a sweep that was killed left behind. Raises InputRefusedError for another file."""
    try:
        raw = json.loads(state_file.read_text(encoding="utf-8")[:10_000])
        name, state = raw["clock"], {str(key): str(int(value)) for key, value in raw["state"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefusedError(f"{state_file}: not the state of a sweep: {error}") from error
    if name != clock.name or state.keys() != clock.state().keys():
        raise InputRefusedError(
            f"{state_file}: is of {str(name)[:80]!r}, but this machine has {clock.name!r}"
        )
    clock.restore(state)
    jetson = state_file.with_name("jetson-clocks-before.conf")
    if jetson.is_file():
        _jetson_clocks("--restore", jetson)
    state_file.unlink()


def sweep(clock: GpuClock, clocks: Sequence[float], folder: Path, each: Callable[[float], None]) -> None:
    """Call `each` at every clock in turn. Raises UsageError where the machine does not let us set them."""
    with restoring(clock, folder):
        for mhz in clocks:
            try:
                clock.lock(mhz)
            except PermissionError as error:
                raise UsageError(
                    f"{clock.name}: may not be set ({error}); run with sudo, the clocks are as before"
                ) from error
            each(mhz)


def _jetson_clocks(action: str, file: Path) -> bool:
    """Run jetson_clocks where there is one; it keeps what devfreq does not show. Return whether it did."""
    program = shutil.which("jetson_clocks")
    if program is None:
        return False
    done = subprocess.run([program, action, str(file)], capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
