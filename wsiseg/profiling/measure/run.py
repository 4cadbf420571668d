"""Networks side by side on this machine: idle baseline, then one child process per network and size."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsiseg.errors import WsisegError
from wsiseg.inference.runtime import RuntimeChoice, usable_cpus
from wsiseg.profiling.clocks.power_mode import read_power_mode
from wsiseg.profiling.measure.child import Done, Job
from wsiseg.profiling.measure.machine import describe_machine
from wsiseg.profiling.measure.sampling import Sampler
from wsiseg.profiling.results import Latency, Measurement, Missing, Results, unavailable
from wsiseg.profiling.subject import load_subject

CHILD = "wsiseg.profiling.measure.child"
_NO_MEMORY = ("MemoryError", "out of memory", "not enough memory", "can't allocate memory", "bad_alloc")


class TooLargeError(WsisegError):
    """A network that this machine has not the memory for."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, and how."""

    models: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    """(width, height) in px."""
    choice: RuntimeChoice
    trials: int = 200
    warm_up: int = 10
    min_seconds: float = 2.0
    idle_seconds: float = 3.0
    max_seconds: float | None = None
    """Calls end after so long, whatever `trials` says, but not before the third; None: they do not."""
    threads: int = 0
    """0: all CPUs that this process may use."""
    operators: bool = True


def measure(plan: Plan, report: Callable[[str], None] = lambda _: None) -> Results:
    """Measure every network at every size, one after the other. Raises WsisegError where one fails."""
    for model in plan.models:  # what cannot be is said before anything takes its time
        subject = load_subject(model)
        for width, height in plan.sizes:
            subject.check_size(width, height)
    measurements: list[Measurement] = []
    for size in plan.sizes:
        for model in plan.models:
            report(f"{model} at {size[0]}x{size[1]} px")
            measurements.append(measure_one(plan, model, size))
    return Results(
        machine={
            **describe(plan),
            **({"power mode": measurements[0].power_mode} if measurements[0].power_mode else {}),
        },
        measurements=tuple(measurements),
        notes=(
            "Times are from RGB bytes in memory to class ids in memory: normalisation, network and argmax.",
            f"Idle power is the mean of {plan.idle_seconds:g} s before each network was loaded.",
            "Peak memory is the highest while running, above what the process held before.",
        ),
    )


def describe(plan: Plan) -> dict[str, str]:
    """Return what the machine is, and what of it is used."""
    return {
        **describe_machine(),
        "runtime": f"{plan.choice.name} {plan.choice.version}",
        "CPUs used": str(plan.threads or usable_cpus()),
    }


def measure_one(plan: Plan, model: str, size: tuple[int, int]) -> Measurement:
    """Measure one network at one size (width, height)."""
    job = job_of(plan, model, size)
    with Sampler() as sampler:
        idle_from = time.monotonic()
        time.sleep(plan.idle_seconds)
        idle = (idle_from, time.monotonic())
        done = run_child(job)
    powers = tuple(sampler.powers(done.executing, idle, done.images))
    mode = read_power_mode()
    missing = list(sampler.missing)
    if isinstance(mode, Missing):
        missing.append(mode)
    for source in sampler.sources:
        if not any(item.source == source.name for item in powers):
            missing.append(
                Missing(
                    what=f"power: {source.name}",
                    reason="no reading fell into the execution",
                    remedy="give --trials or --min-seconds more",
                )
            )
    return Measurement(
        model=done.name,
        trained=done.trained,
        parameters=done.parameters,
        file_bytes=done.file_bytes,
        flops=done.flops,
        width_px=size[0],
        height_px=size[1],
        runtime=plan.choice.name,
        precision=plan.choice.precision,
        device=plan.choice.device,
        threads=plan.threads or usable_cpus(),
        latency=Latency(times_ms=done.times_ms, warm_up=done.warm_up),
        initialise_s=done.ready - done.started,
        executing=(done.executing[0] - done.started, done.executing[1] - done.started),
        images=done.images,
        peak_memory=done.peak_memory,
        power=powers,
        utilisation=sampler.utilisations(done.started, done.executing[1]),
        operators=done.operators,
        operators_of=done.operators_of,
        gpu_clock=sampler.gpu_clock(done.executing),
        power_mode="" if isinstance(mode, Missing) else mode,
        agreement=unavailable(
            "share", "measured where a bundle runs on another machine", "wsiseg profile bundle"
        ),
        missing=tuple(missing),
    )


def job_of(plan: Plan, model: str, size: tuple[int, int]) -> Job:
    """Return what the child is to do for one network at one size."""
    return Job(
        model=model,
        width_px=size[0],
        height_px=size[1],
        runtime=plan.choice.name,
        precision=plan.choice.precision,
        device=plan.choice.device,
        version=plan.choice.version,
        threads=plan.threads,
        trials=plan.trials,
        warm_up=plan.warm_up,
        min_seconds=plan.min_seconds,
        max_seconds=plan.max_seconds,
        operators=plan.operators,
    )


def run_child(job: Job) -> Done:
    """Run the job in a process of its own; return what it found.

    Raises TooLargeError where the memory did not suffice, WsisegError where it fails otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="wsiseg-profile-") as folder:
        question, answer = Path(folder) / "job.json", Path(folder) / "done.json"
        question.write_text(job.model_dump_json(), encoding="utf-8")
        process = subprocess.Popen(
            child_command(question, answer), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = process.communicate()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0 or not answer.is_file():
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            what = f"{job.model} could not be measured at {job.width_px}x{job.height_px} px"
            if process.returncode == -signal.SIGKILL:
                raise TooLargeError(
                    f"{what}: its process was killed, as systems do where the memory runs out"
                )
            if any(words in said for words in _NO_MEMORY):
                raise TooLargeError(f"{what}: it is too large for the memory here ({last})")
            raise WsisegError(f"{what}: {last}")
        return Done.model_validate_json(answer.read_bytes())


def child_command(job: Path, answer: Path) -> list[str]:
    """Return the command of the process that runs a job."""
    return [sys.executable, "-m", CHILD, str(job), str(answer)]
