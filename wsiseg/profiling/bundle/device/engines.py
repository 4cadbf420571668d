"""One network, timed and checked in a process of its own: torch, or TensorRT's trtexec. Plain Python 3.6.

python3 engines.py JOB.json DONE.json
"""

import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, List

TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
WAIT_LIMIT_S = 120.0
TRTEXEC_LIMIT_S = 3600


def samples_since(logs: List[str], begin: float) -> int:
    """Return how many readings newer than a monotonic time every log of the recorder has, at least."""
    counts = []
    for path in logs:
        count = 0
        try:
            with open(path, "rb") as file:
                for line in file:
                    if line.startswith(b"{"):
                        count += json.loads(line.decode("utf-8", "replace"))["t"] >= begin
                    elif b" RAM " in line:
                        count += float(line.split(b" ", 1)[0]) >= begin
        except (OSError, ValueError):
            pass  # a line that is being written: it counts next time
        counts.append(count)
    return min(counts) if counts else 0


def resident_kib(key: str) -> float:
    """Return a line of this process's memory account, in KiB."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return float(line.split()[1])
    raise OSError("no " + key)


def share_equal(found: bytes, expected: bytes) -> float:
    """Return the share of equal bytes; 0 where the lengths differ."""
    if len(found) != len(expected) or not expected:
        return 0.0
    return sum(a == b for a, b in zip(found, expected)) / float(len(expected))


def run_torch(job: Dict[str, Any]) -> Dict[str, Any]:
    """Time the TorchScript file: warm-up, then synchronised calls."""
    import torch

    started = time.monotonic()
    before = resident_kib("VmRSS")
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    with open(job["input"], "rb") as file:
        pixels = bytearray(file.read())
    shape = (1, 3, job["height_px"], job["width_px"])
    image = torch.frombuffer(pixels, dtype=torch.float32).reshape(shape).to(device)
    network = torch.jit.load(job["torchscript"], map_location=device).eval()

    def call() -> Any:
        labels = network(image)
        if cuda:
            torch.cuda.synchronize()
        return labels

    times = []  # type: List[float]
    images = 0
    with torch.no_grad():
        for _ in range(max(3, job["warm_up"])):  # TorchScript optimises during its first calls
            labels = call()
        ready = time.monotonic()
        if job["counted"] and cuda:
            torch.cuda.profiler.start()
        while True:
            begin = time.perf_counter()
            call()
            if len(times) < job["trials"]:
                times.append((time.perf_counter() - begin) * 1000)
            images += 1
            now = time.monotonic()
            if len(times) == job["trials"] and (
                now - ready > WAIT_LIMIT_S or samples_since(job["logs"], ready) >= job["min_samples"]
            ):
                break
        ended = time.monotonic()
        if job["counted"] and cuda:
            torch.cuda.profiler.stop()
    found = bytes(bytearray(labels.reshape(-1).to("cpu").tolist()))
    if cuda:
        peak, unit = torch.cuda.max_memory_allocated() / 2.0**20, "MiB of GPU memory"
    else:
        peak, unit = (resident_kib("VmHWM") - before) / 1024.0, "MiB"
    return {
        "engine": "torch {}".format(torch.__version__),
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "started": started,
        "executing": [ready, ended],
        "images": images,
        "times_ms": times,
        "peak_memory": peak,
        "peak_memory_unit": unit,
        "found": found,
    }


def run_trtexec(job: Dict[str, Any]) -> Dict[str, Any]:
    """Time the ONNX file with TensorRT; building its engine is the initialisation."""
    program = shutil.which("trtexec") or TRTEXEC
    folder = os.path.dirname(job["done"])
    engine, times_file, output = (
        os.path.join(folder, name) for name in ("engine", "times.json", "output.json")
    )
    started = time.monotonic()
    _trtexec([program, "--onnx=" + job["onnx"], "--saveEngine=" + engine, "--buildOnly"])
    _trtexec(
        [
            program,
            "--loadEngine=" + engine,
            "--loadInputs=image:" + job["input"],
            "--exportTimes=" + times_file,
            "--exportOutput=" + output,
            "--iterations={}".format(job["trials"]),
            "--duration={}".format(job["min_seconds"]),
            "--warmUp=1000",
        ]
    )
    ended = time.monotonic()
    with open(times_file) as file:
        entries = json.load(file)
    key = next(name for name in ("latencyMs", "computeMs") if name in entries[0])
    times = [float(entry[key]) for entry in entries]
    with open(output) as file:
        tensors = {tensor["name"]: tensor["values"] for tensor in json.load(file)}
    found = bytes(bytearray(int(value) for value in tensors["labels"]))
    os.remove(engine)
    # trtexec does not say when its timed calls began: they are its last ones.
    begin = max(started, ended - sum(times) / 1000.0)
    return {
        "engine": "TensorRT, trtexec, {}".format(key),
        "device": "gpu",
        "threads": 0,
        "started": started,
        "executing": [begin, ended],
        "images": len(times),
        "times_ms": times,
        "peak_memory": None,
        "peak_memory_unit": "MiB",
        "found": found,
    }


def _trtexec(command: List[str]) -> None:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=TRTEXEC_LIMIT_S,
    )
    if done.returncode != 0:
        raise RuntimeError("trtexec failed: " + done.stdout.decode("utf-8", "replace").strip()[-500:])


def main() -> None:
    """Run the job in the first file, write what was found into the second."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    job["done"] = os.path.abspath(sys.argv[2])
    done = run_trtexec(job) if job["engine"] == "trtexec" else run_torch(job)
    with open(job["reference"], "rb") as file:
        done["agreement"] = share_equal(done.pop("found"), file.read())
    with open(sys.argv[2] + ".partial", "w") as file:
        json.dump(done, file)
    os.replace(sys.argv[2] + ".partial", sys.argv[2])


if __name__ == "__main__":
    main()
