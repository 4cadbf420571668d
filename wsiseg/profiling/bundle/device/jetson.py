"""What the runner reads from a Jetson, and what it changes when asked to. Plain Python 3.6.

Everything under / is looked up below ROOT, so that a test can hand over a tree of its own.
"""

import glob
import json
import os
import shutil
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional

GPU_FOLDERS = (
    "sys/devices/*/devfreq/*gp10b*",
    "sys/devices/*/devfreq/*gv11b*",
    "sys/devices/*/devfreq/*gpu*",
)
GPU_LOADS = ("sys/devices/gpu.0/load", "sys/devices/*gp10b/load", "sys/devices/platform/*.gpu/load")
RAIL_FOLDERS = ("sys/bus/i2c/drivers/ina3221x/*/iio_device", "sys/bus/i2c/drivers/ina3221x/*/iio:device*")


def read(path: str) -> Optional[str]:
    """Return the text of a file, or None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return None


def number(path: str) -> Optional[float]:
    """Return the number at the start of a file, or None."""
    try:
        return float((read(path) or "").split()[0])
    except (ValueError, IndexError):
        return None


def first(root: str, patterns: Any) -> Optional[str]:
    """Return the first path that matches one of the patterns."""
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(root, pattern))):
            return path
    return None


def run(command: List[str], limit_s: float = 60) -> Dict[str, Any]:
    """Run a program and return what it said; a missing or failing one is no error here."""
    if shutil.which(command[0]) is None:
        return {"command": command, "error": "no program " + command[0]}
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"command": command, "error": str(error)}
    text = done.stdout.decode("utf-8", "replace")[-20000:]
    return {"command": command, "exit_code": done.returncode, "output": text}


def describe(root: str) -> Dict[str, Any]:
    """Return what this device is; no host name, no user, no address."""
    return {
        "board": read(os.path.join(root, "proc/device-tree/model")) or "",
        "l4t": (read(os.path.join(root, "etc/nv_tegra_release")) or "").splitlines()[:1],
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "nvpmodel": run(["nvpmodel", "-q"]),
        "jetson_clocks": run(["jetson_clocks", "--show"]),
    }


class GpuClock:
    """Limits of the GPU's clock, in Hz; what they were is kept in a file until they are put back."""

    def __init__(self, root: str, state_file: str) -> None:
        self.folder = first(root, GPU_FOLDERS)
        self.state_file = state_file
        self.before = {}  # type: Dict[str, str]

    def allowed_mhz(self) -> List[float]:
        """Return the clocks of the driver's table, ascending."""
        words = (read(os.path.join(self.folder or "", "available_frequencies")) or "").split()
        return sorted(int(word) / 1e6 for word in words if word.isdigit())

    def lock(self, mhz: float) -> None:
        """Fix the clock; the limits before are remembered, on disk too."""
        if not self.before:
            self.before = {
                name: read(os.path.join(self.folder, name)) or "" for name in ("min_freq", "max_freq")
            }
            with open(self.state_file, "w") as file:
                json.dump({"folder": self.folder, "state": self.before}, file)
        hertz = str(int(round(mhz * 1e6)))
        self._write({"min_freq": hertz, "max_freq": hertz})

    def restore(self) -> None:
        """Put the limits back; also those that a killed run before this one left in its file."""
        if not self.before and os.path.exists(self.state_file):
            with open(self.state_file) as file:
                kept = json.load(file)
            if kept.get("folder") == self.folder:
                self.before = {name: str(int(kept["state"][name])) for name in ("min_freq", "max_freq")}
        if self.before:
            self._write(self.before)
            self.before = {}
            os.remove(self.state_file)

    def _write(self, limits: Dict[str, str]) -> None:
        order = ["max_freq", "min_freq"]  # the driver refuses a minimum above the maximum
        if int(limits["max_freq"]) < (number(os.path.join(self.folder or "", "min_freq")) or 0):
            order.reverse()
        for name in order:
            with open(os.path.join(self.folder or "", name), "w") as file:
                file.write(limits[name])


class Recorder:
    """tegrastats and sysfs, written down line by line with the monotonic time, until it is closed."""

    def __init__(self, root: str, folder: str, interval_ms: int) -> None:
        self.root = root
        self.interval_s = interval_ms / 1000.0
        self.stop = threading.Event()
        self.tegrastats = None  # type: Optional[subprocess.Popen[bytes]]
        self.tegrastats_error = ""
        sysfs = os.path.join(folder, "sysfs.jsonl")
        self.logs = [sysfs]
        self.threads = [threading.Thread(target=self._sysfs, args=(sysfs,))]
        try:
            self.tegrastats = subprocess.Popen(
                ["tegrastats", "--interval", str(interval_ms)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
            )
            self.logs.append(os.path.join(folder, "tegrastats.log"))
            self.threads.append(threading.Thread(target=self._lines, args=(self.logs[-1],)))
        except OSError as error:
            self.tegrastats_error = "tegrastats could not be started: {}".format(error)
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    def close(self) -> None:
        """End the program and the threads."""
        self.stop.set()
        if self.tegrastats is not None:
            self.tegrastats.terminate()
            try:
                self.tegrastats.wait(10)
            except subprocess.TimeoutExpired:
                self.tegrastats.kill()
                self.tegrastats.wait()
        for thread in self.threads:
            thread.join(10)

    def _lines(self, path: str) -> None:
        if self.tegrastats is None or self.tegrastats.stdout is None:
            return
        with open(path, "wb", buffering=0) as log:
            for line in iter(self.tegrastats.stdout.readline, b""):
                log.write("{:.6f} ".format(time.monotonic()).encode("ascii") + line)

    def _sysfs(self, path: str) -> None:
        gpu, load = first(self.root, GPU_FOLDERS), first(self.root, GPU_LOADS)
        rails = {}  # type: Dict[str, str]
        for pattern in RAIL_FOLDERS:
            for folder in sorted(glob.glob(os.path.join(self.root, pattern))):
                for channel in range(3):
                    name = read(os.path.join(folder, "rail_name_{}".format(channel)))
                    if name and name not in rails:
                        rails[name] = os.path.join(folder, "in_power{}_input".format(channel))
        with open(path, "w", buffering=1) as log:
            while True:
                entry = {"t": time.monotonic()}  # type: Dict[str, Any]
                entry["gpu_hz"] = number(os.path.join(gpu, "cur_freq")) if gpu else None
                entry["gpu_load"] = number(load) if load else None
                entry["rails_mw"] = {name: number(file) for name, file in rails.items()}
                log.write(json.dumps(entry) + "\n")
                if self.stop.wait(self.interval_s):
                    return
