"""A Jetson's power mode, from `nvpmodel -q`: Max-Q, Max-P and their relatives."""

from __future__ import annotations

import re
import shutil
import subprocess

from wsiseg.profiling.results import Missing

_NAME = re.compile(
    r"(?:NV Power Mode|NV Fan Mode|Current mode: NV Power Mode):\s*(?P<name>[\w -]+?)\s*$", re.M
)
_ID = re.compile(r"^(\d+)\s*$", re.M)
PAPER_NAMES = {"MAXQ": "Max-Q", "MAXN": "Max-N", "MAXP": "Max-P"}


def parse_power_mode(text: str) -> str | None:
    """Return a mode as `MAXP_CORE_ARM (3), Max-P` of the output of `nvpmodel -q`; None where it says none."""
    found = [match["name"] for match in _NAME.finditer(text) if "Fan" not in match[0]]
    if not found:
        return None
    name = found[-1].strip()
    number = _ID.search(text)
    shown = name if number is None else f"{name} ({number[1]})"
    paper = next(
        (said for key, said in PAPER_NAMES.items() if name.upper().replace("_", "").startswith(key)), ""
    )
    return f"{shown}, {paper}" if paper else shown


def read_power_mode() -> str | Missing:
    """Return the mode of this Jetson, or why there is none."""
    program = shutil.which("nvpmodel")
    if program is None:
        return Missing(what="power mode", reason="no program nvpmodel: no Jetson", remedy="run on a Jetson")
    try:
        done = subprocess.run(
            [program, "-q"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Missing(what="power mode", reason=f"nvpmodel -q failed: {error}", remedy="run it by hand")
    mode = parse_power_mode(done.stdout)
    if mode is None:
        return Missing(
            what="power mode",
            reason=f"nvpmodel -q said no mode (exit code {done.returncode})",
            remedy="run sudo nvpmodel -q by hand",
        )
    return mode
