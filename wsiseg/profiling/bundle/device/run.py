"""Measure the networks of this bundle on this device, and leave one archive. Plain Python 3.6, no
packages but what JetPack 4.6 has (torch 1.10, or TensorRT's trtexec).

    python3 run.py                                  as the device is
    sudo python3 run.py --power-mode 1              nvpmodel mode 1 (Max-Q on a TX2), put back afterwards
    sudo python3 run.py --gpu-mhz 824 1134          at the allowed clocks nearest to these, put back after it
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any, Dict, List, Optional

import engines
import jetson

HERE = os.path.dirname(os.path.abspath(__file__))
FORMAT = "wsiseg-device-1"
CHILD_LIMIT_S = 7200
NVPROF_TRIALS = 5


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", default="results.tar.gz", help="archive to write")
    parser.add_argument("--engine", choices=("auto", "torch", "trtexec"), default="auto")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0: its own choice")
    parser.add_argument("--power-mode", type=int, help="nvpmodel mode to set; needs sudo")
    parser.add_argument("--gpu-mhz", type=float, nargs="+", help="GPU clocks to try; needs sudo")
    parser.add_argument("--idle-samples", type=int, default=20, help="readings before anything is loaded")
    parser.add_argument("--min-samples", type=int, default=20, help="readings during each network, at least")
    parser.add_argument("--interval-ms", type=int, default=200, help="between readings")
    parser.add_argument("--no-nvprof", action="store_true", help="do not count kernels")
    parser.add_argument("--root", default="/", help=argparse.SUPPRESS)
    return parser.parse_args()


def read_bundle() -> Dict[str, Any]:
    """Return the bundle's table, after checking every file against it."""
    with open(os.path.join(HERE, "bundle.json")) as file:
        bundle = json.load(file)  # type: Dict[str, Any]
    for name, expected in sorted(bundle["files"].items()):
        state = hashlib.sha256()
        with open(os.path.join(HERE, name), "rb") as file_bytes:
            for block in iter(lambda: file_bytes.read(1 << 20), b""):
                state.update(block)
        if state.hexdigest() != expected:
            sys.exit("run.py: {} is not what the bundle says: copy the bundle again".format(name))
    return bundle


def choose_engine(wanted: str) -> str:
    """Return torch where it is installed, else trtexec."""
    if wanted in ("auto", "torch") and importlib.util.find_spec("torch") is not None:
        return "torch"
    if wanted in ("auto", "trtexec") and (shutil.which("trtexec") or os.path.exists(engines.TRTEXEC)):
        return "trtexec"
    sys.exit(
        "run.py: found no {}: install torch 1.10 for JetPack, or TensorRT".format(
            wanted.replace("auto", "engine")
        )
    )


class Run:
    """One run: its folder, its recorder, its GPU clock."""

    def __init__(self, options: argparse.Namespace, bundle: Dict[str, Any], folder: str) -> None:
        self.options = options
        self.bundle = bundle
        self.folder = folder
        self.engine = choose_engine(options.engine)
        self.clock = jetson.GpuClock(options.root, os.path.abspath(options.output) + ".clocks-before.json")
        self.notes = []  # type: List[str]

    def measure(self) -> Dict[str, Any]:
        """Return everything that run.json is to say; clocks and mode are put back whatever happens."""
        options = self.options
        self.clock.restore()  # what a killed run may have left behind
        clocks = self.clocks()
        mode = power_mode()
        try:
            if options.power_mode is not None:
                self.set_mode(options.power_mode)
            recorder = jetson.Recorder(options.root, self.folder, options.interval_ms)
            try:
                device = jetson.describe(options.root)
                idle = self.idle(recorder)
                runs = [self.one(entry, mhz, recorder) for mhz in clocks for entry in self.bundle["networks"]]
            finally:
                recorder.close()
            if recorder.tegrastats_error:
                self.notes.append(recorder.tegrastats_error)
            self.nvprof()
        finally:
            self.clock.restore()
            if options.power_mode is not None and mode is not None:
                jetson.run(["nvpmodel", "-m", mode])
        return {"format": FORMAT, "device": device, "idle": idle, "runs": runs, "notes": self.notes}

    def clocks(self) -> List[Optional[float]]:
        """Return the allowed clocks nearest to those asked for; None: leave the clock alone."""
        if not self.options.gpu_mhz:
            return [None]
        allowed = self.clock.allowed_mhz()
        if not allowed:
            sys.exit("run.py: --gpu-mhz: this device names no GPU clock that can be chosen")
        return [min(allowed, key=lambda mhz: abs(mhz - wanted)) for wanted in self.options.gpu_mhz]

    def set_mode(self, mode: int) -> None:
        """Set the power mode, or end with what nvpmodel says."""
        done = jetson.run(["nvpmodel", "-m", str(mode)])
        if done.get("exit_code") != 0:
            said = done.get("error") or done["output"].strip()[-300:]
            sys.exit("run.py: nvpmodel -m {} failed, run with sudo: {}".format(mode, said))

    def idle(self, recorder: jetson.Recorder) -> List[float]:
        """Wait for readings with nothing running; return the time span."""
        begin = time.monotonic()
        while engines.samples_since(recorder.logs, begin) < self.options.idle_samples:
            if time.monotonic() - begin > engines.WAIT_LIMIT_S:
                self.notes.append("too few idle readings within {:g} s".format(engines.WAIT_LIMIT_S))
                break
            time.sleep(self.options.interval_ms / 1000.0)
        # A program that prints nothing is not waited for again.
        recorder.logs = [log for log in recorder.logs if engines.samples_since([log], begin)]
        return [begin, time.monotonic()]

    def job(self, entry: Dict[str, Any], logs: List[str], counted: bool = False) -> Dict[str, Any]:
        """Return what engines.py is to do."""
        paths = {key: os.path.join(HERE, entry[key]) for key in ("torchscript", "onnx", "input", "reference")}
        return dict(
            paths,
            engine=self.engine,
            width_px=entry["width_px"],
            height_px=entry["height_px"],
            trials=NVPROF_TRIALS if counted else self.options.trials,
            warm_up=self.options.warm_up,
            threads=self.options.threads,
            min_samples=0 if counted else self.options.min_samples,
            min_seconds=self.options.min_samples * self.options.interval_ms // 1000 + 1,
            logs=logs,
            counted=counted,
        )

    def one(self, entry: Dict[str, Any], mhz: Optional[float], recorder: jetson.Recorder) -> Dict[str, Any]:
        """Measure one network; a failure is written down and does not stop the others."""
        found = {"network": entry["id"], "locked_mhz": mhz}  # type: Dict[str, Any]
        print("{} {}".format(entry["id"], "" if mhz is None else "at {:g} MHz".format(mhz)), flush=True)
        try:
            if mhz is not None:
                self.clock.lock(mhz)
            found["done"] = self.child(self.job(entry, recorder.logs), [])
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
            found["error"] = str(error)[-500:]
            print("  failed: " + found["error"], flush=True)
        return found

    def child(self, job: Dict[str, Any], prefix: List[str]) -> Dict[str, Any]:
        """Run engines.py and return what it found."""
        question, answer = (os.path.join(self.folder, name) for name in ("job.json", "done.json"))
        with open(question, "w") as file:
            json.dump(job, file)
        command = [*prefix, sys.executable, os.path.join(HERE, "engines.py"), question, answer]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=CHILD_LIMIT_S,
        )
        if done.returncode != 0 or not os.path.exists(answer):
            raise RuntimeError(done.stdout.decode("utf-8", "replace").strip()[-500:] or "it said nothing")
        with open(answer) as file:
            found = json.load(file)  # type: Dict[str, Any]
        os.remove(question)
        os.remove(answer)
        return found

    def nvprof(self) -> None:
        """Count kernels, where there is nvprof: once for the times, once for the counters."""
        if self.options.no_nvprof or shutil.which("nvprof") is None or self.engine != "torch":
            self.notes.append("kernels not counted: no nvprof here, switched off, or the engine is not torch")
            return
        metrics = ["--metrics", ",".join(self.bundle["nvprof_metrics"])]
        for entry in self.bundle["networks"]:
            for what, extra in (("times", []), ("metrics", metrics)):
                log = os.path.join(self.folder, "nvprof-{}-{}.csv".format(what, entry["id"]))
                command = ["nvprof", "--csv", "--profile-from-start", "off", "--log-file", log, *extra]
                try:
                    self.child(self.job(entry, [], counted=True), command)
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    self.notes.append("nvprof, {} of {}: {}".format(what, entry["id"], str(error)[-300:]))


def power_mode() -> Optional[str]:
    """Return the number of the power mode, as nvpmodel wants it back."""
    found = re.findall(r"^(\d+)\s*$", jetson.run(["nvpmodel", "-q"]).get("output", ""), re.M)
    return found[-1] if found else None


def stop(number: int, frame: Any) -> None:
    """End through the clean-up, when the system asks for the end."""
    sys.exit(128 + number)


def main() -> None:
    """Measure, and write the archive whole or not at all."""
    options = arguments()
    bundle = read_bundle()
    signal.signal(signal.SIGTERM, stop)
    target = os.path.abspath(options.output)
    with tempfile.TemporaryDirectory(prefix="wsiseg-device-") as folder:
        found = Run(options, bundle, folder).measure()
        with open(os.path.join(folder, "run.json"), "w") as file:
            json.dump(found, file)
        shutil.copy(os.path.join(HERE, "bundle.json"), folder)
        with tarfile.open(target + ".partial", "w:gz") as archive:
            for name in sorted(os.listdir(folder)):
                archive.add(os.path.join(folder, name), arcname=name)
    os.replace(target + ".partial", target)
    failed = sum("error" in item for item in found["runs"])
    print(
        "{}: {} measured, {} failed. On a desktop: wsiseg profile report {}".format(
            target, len(found["runs"]) - failed, failed, os.path.basename(target)
        )
    )
    sys.exit(5 if failed else 0)


if __name__ == "__main__":
    main()
