"""The folder that goes to the device: networks, an image, the labels to expect, and the runner."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import wsiseg
from wsiseg.errors import UsageError
from wsiseg.profiling.bundle.device_network import OPSET, device_image, export_for_device
from wsiseg.profiling.flops import count_flops
from wsiseg.profiling.kernels.nvprof import METRICS
from wsiseg.profiling.subject import load_subject

FORMAT = "wsiseg-bundle-1"
RUNNER = ("run.py", "engines.py", "jetson.py")
README = """\
Copy this folder to the device and run there, with the Python that JetPack 4.6 has (3.6):

    python3 run.py                                as the device is
    sudo python3 run.py --power-mode 1            in nvpmodel mode 1, which is Max-Q on a TX2
    sudo python3 run.py --gpu-mhz 824 1134        at two GPU clocks, for the sensitivity; put back afterwards

It needs torch 1.10 for JetPack, or TensorRT (trtexec), and leaves results.tar.gz. Copy that back and run

    wsiseg profile report results.tar.gz -o report
"""


def write_bundle(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    output: Path,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the folder and return its table; nothing is left where a network cannot be exported.

    Raises UsageError where the folder exists, ModelRefusedError where a network does not fit the device.
    """
    if output.exists():
        raise UsageError(f"{output}: exists already; give a new folder")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "data").mkdir(parents=True)
        networks = _write_networks(names, sizes, partial, report)
        for name in RUNNER:
            source = files("wsiseg.profiling.bundle") / "device" / name
            (partial / name).write_bytes(source.read_bytes())
        (partial / "README.txt").write_text(README, encoding="utf-8")
        table: dict[str, Any] = {
            "format": FORMAT,
            "wsiseg": wsiseg.__version__,
            "opset": OPSET,
            "networks": networks,
            "nvprof_metrics": METRICS,
            "files": {
                str(path.relative_to(partial).as_posix()): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(partial.rglob("*"))
                if path.is_file()
            },
        }
        (partial / "bundle.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return table


def _write_networks(
    names: Sequence[str], sizes: Sequence[tuple[int, int]], folder: Path, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in names:
        subject = load_subject(name)
        for width, height in sizes:
            subject.check_size(width, height)
            identity = f"{subject.name}-{width}x{height}"
            report(identity)
            image = device_image(width, height)
            onnx_file, script_file, labels = export_for_device(subject.model, image)
            entry: dict[str, Any] = {
                "id": identity,
                "model": subject.name,
                "trained": subject.trained,
                "parameters": subject.parameters,
                "file_bytes": subject.file_bytes,
                "flops": count_flops(subject.model.network, *subject.network_size(width, height)),
                "width_px": width,
                "height_px": height,
                "onnx": f"data/{identity}.onnx",
                "torchscript": f"data/{identity}.pt",
                "input": f"data/image-{width}x{height}.float32",
                "reference": f"data/{identity}.labels",
            }
            if any(other["id"] == identity for other in found):
                raise UsageError(f"{subject.name} is named twice: a bundle takes each network once")
            for key, data in (
                ("onnx", onnx_file),
                ("torchscript", script_file),
                ("input", image.tobytes()),
                ("reference", labels.tobytes()),
            ):
                (folder / entry[key]).write_bytes(data)
            found.append(entry)
    return found
