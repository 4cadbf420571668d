"""What a device recorded, turned into the same results that this machine's measurements give."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsiseg.errors import InputRefusedError
from wsiseg.models.card import plain
from wsiseg.profiling.bundle.archive import read_archive
from wsiseg.profiling.bundle.recording import Recording, read_recording
from wsiseg.profiling.bundle.write import FORMAT as BUNDLE_FORMAT
from wsiseg.profiling.clocks.power_mode import parse_power_mode
from wsiseg.profiling.kernels.nvprof import read_nvprof
from wsiseg.profiling.results import (
    Figure,
    Finite,
    KernelReport,
    Latency,
    Measurement,
    Missing,
    Positive,
    Results,
    Share,
    Text,
    available,
    unavailable,
)


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Done(_Loose):
    engine: Text
    device: Text
    threads: Annotated[int, Field(ge=0)]
    started: Finite
    executing: tuple[Finite, Finite]
    images: Annotated[int, Field(ge=1)]
    times_ms: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1_000_000)]
    peak_memory: Finite | None
    peak_memory_unit: Text
    agreement: Share


class _Run(_Loose):
    network: Text
    locked_mhz: Finite | None = None
    done: _Done | None = None
    error: Text = ""


class _Said(_Loose):
    output: Annotated[str, Field(max_length=30_000)] = ""
    error: Text = ""


class _Device(_Loose):
    board: Text = ""
    l4t: tuple[Text, ...] = ()
    kernel: Text = ""
    architecture: Text = ""
    nvpmodel: _Said = _Said()
    jetson_clocks: _Said = _Said()


class _RunFile(_Loose):
    format: Literal["wsiseg-device-1"]
    device: _Device
    idle: tuple[Finite, Finite]
    runs: Annotated[tuple[_Run, ...], Field(max_length=10_000)]
    notes: tuple[Text, ...] = ()


class _Network(_Loose):
    id: Text
    model: Text
    trained: bool
    parameters: Annotated[int, Field(ge=0)]
    file_bytes: Annotated[int, Field(ge=0)]
    flops: Annotated[int, Field(ge=0)]
    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]


class _BundleFile(_Loose):
    format: Literal["wsiseg-bundle-1"] = BUNDLE_FORMAT  # type: ignore[assignment]  # the same literal
    networks: tuple[_Network, ...]


def read_device_results(path: Path) -> Results:
    """Return the results in the archive that the runner left. Raises InputRefusedError for anything else."""
    found = read_archive(path)
    run = _parse(_RunFile, found["run.json"], path.name, "run.json")
    bundle = _parse(_BundleFile, found["bundle.json"], path.name, "bundle.json")
    networks = {item.id: item for item in bundle.networks}
    recording = read_recording(found.get("tegrastats.log", ""), found.get("sysfs.jsonl", ""))
    mode = parse_power_mode(run.device.nvpmodel.output)
    missing = list(recording.missing)
    if mode is None:
        missing.append(
            Missing(
                what="power mode",
                reason=run.device.nvpmodel.error or "nvpmodel -q said none",
                remedy="run the bundle with sudo on a Jetson",
            )
        )
    measurements: list[Measurement] = []
    for item in run.runs:
        network = networks.get(item.network)
        if network is None:
            raise InputRefusedError(
                f"{path.name}: run.json names {plain(item.network)!r}, bundle.json does not"
            )
        if item.done is None:
            missing.append(
                Missing(
                    what=f"{network.id}", reason=item.error or "not measured", remedy="run the bundle again"
                )
            )
        else:
            measurements.append(_measurement(network, item.done, run.idle, recording, mode or ""))
    return Results(
        machine=_machine(run.device, mode or ""),
        measurements=tuple(measurements),
        kernels=tuple(_kernels(found, networks, missing)),
        missing=tuple(missing),
        notes=(
            *run.notes,
            "Times are from float pixels to class ids in the device's memory, with normalisation and argmax.",
            f"Idle power is the mean of {run.idle[1] - run.idle[0]:.1f} s before anything was loaded.",
            f"tegrastats: {recording.lines} lines understood, {recording.garbage} not"
            + (f" (the first: {plain(recording.first_garbage, 80)})" if recording.garbage else "")
            + ".",
        ),
    )


def _measurement(
    network: _Network, done: _Done, idle: tuple[float, float], recording: Recording, mode: str
) -> Measurement:
    powers = recording.powers(done.executing, idle, done.images)
    missing: tuple[Missing, ...] = ()
    if not powers:
        missing = (
            Missing(
                what="power",
                reason="no rail was recorded while the network ran",
                remedy="see what is said about tegrastats and INA3221; some modules have no sensors",
            ),
        )
    return Measurement(
        model=network.model,
        trained=network.trained,
        parameters=network.parameters,
        file_bytes=network.file_bytes,
        flops=network.flops,
        width_px=network.width_px,
        height_px=network.height_px,
        runtime=done.engine,
        precision="fp32",
        device=done.device,
        threads=done.threads,
        latency=Latency(times_ms=done.times_ms, warm_up=0),
        initialise_s=max(0.0, done.executing[0] - done.started),
        executing=(done.executing[0] - done.started, done.executing[1] - done.started),
        images=done.images,
        peak_memory=_peak(done),
        power=powers,
        utilisation=recording.utilisations(done.started, done.executing[1]),
        gpu_clock=recording.gpu_clock(done.executing),
        power_mode=mode,
        agreement=available(done.agreement, "share"),
        missing=missing,
    )


def _peak(done: _Done) -> Figure:
    if done.peak_memory is None:
        return unavailable(done.peak_memory_unit, "trtexec does not say it", "use the torch engine")
    return available(done.peak_memory, done.peak_memory_unit)


def _kernels(
    found: dict[str, str], networks: dict[str, _Network], missing: list[Missing]
) -> list[KernelReport]:
    texts: dict[str, list[str]] = defaultdict(list)
    for name, text in found.items():
        if name.startswith("nvprof-"):
            identity = name.removesuffix(".csv").split("-", 2)[2]
            if identity in networks:
                texts[identity].append(text)
    reports: list[KernelReport] = []
    for identity, parts in texts.items():
        try:
            reports.append(read_nvprof(parts, networks[identity].model))
        except InputRefusedError as error:
            missing.append(
                Missing(
                    what=f"kernels of {identity}", reason=str(error), remedy="run nvprof by hand, as root"
                )
            )
    return reports


def _machine(device: _Device, mode: str) -> dict[str, str]:
    shown = {
        "board": device.board,
        "L4T": " ".join(device.l4t),
        "kernel": device.kernel,
        "architecture": device.architecture,
        "power mode": mode,
        "clocks": " | ".join(
            line.strip() for line in device.jetson_clocks.output.splitlines() if "Freq" in line
        )[:1500],
    }
    return {key: plain(value, 1500) for key, value in shown.items() if value}


_Kind = TypeVar("_Kind", bound=BaseModel)


def _parse(kind: type[_Kind], text: str, archive: str, name: str) -> _Kind:
    try:
        raw: Any = json.loads(text, parse_constant=_no_constant)
        return kind.model_validate(raw)
    except (ValueError, RecursionError) as error:
        where = ""
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where = f" at {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputRefusedError(
            f"{archive}: its {name} is not what the runner writes{plain(where)}"
        ) from error


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")
