"""The process that runs one network at one size: alone, so that its memory is its own.

    python -m wsiseg.profiling.measure.child JOB.json RESULT.json

Times are of the monotonic clock, which the parent that samples the machine shares.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from wsiseg.inference.runtime import RuntimeChoice, build_runtime, usable_cpus
from wsiseg.models.checkpoint import write_atomically
from wsiseg.profiling.flops import count_flops
from wsiseg.profiling.measure.memory import MIB, PeakMemory
from wsiseg.profiling.measure.operators import top_operators
from wsiseg.profiling.results import Figure, Operator, available
from wsiseg.profiling.subject import load_subject

LEAST_TRIALS = 3


class Job(BaseModel):
    """What the child is to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    width_px: int
    height_px: int
    runtime: str
    precision: str
    device: str
    version: str
    threads: int
    trials: int
    warm_up: int
    min_seconds: float
    """The timed phase lasts at least so long, for the sake of slow power sensors."""
    max_seconds: float | None = None
    """It ends after so long, but not before the third call; the warm-up takes at most a quarter of it."""
    operators: bool = True
    counted: bool = False
    """A kernel profiler looks on: it is told when the warm-up has ended."""


class Done(BaseModel):
    """What the child found; clock readings are monotonic seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    trained: bool
    parameters: int
    file_bytes: int
    flops: int
    times_ms: tuple[float, ...]
    warm_up: int
    started: float
    ready: float
    executing: tuple[float, float]
    images: int
    peak_memory: Figure
    operators: tuple[Operator, ...]
    operators_of: str


def run(job: Job) -> Done:
    """Build, warm up, time, and look inside."""
    started = time.monotonic()
    peak = PeakMemory()
    subject = load_subject(job.model)
    subject.check_size(job.width_px, job.height_px)
    flops = count_flops(subject.model.network, *subject.network_size(job.width_px, job.height_px))
    shape = (1, job.height_px, job.width_px, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    choice = RuntimeChoice(job.runtime, job.precision, job.device, job.version)
    peak.restart()
    runtime = build_runtime(choice, subject.model, shape[1:3], threads=job.threads or usable_cpus())
    limit = math.inf if job.max_seconds is None else job.max_seconds
    began = time.monotonic()
    warm_up = 0
    while warm_up == 0 or (warm_up < job.warm_up and time.monotonic() - began < limit / 4):
        runtime.predict(image)
        warm_up += 1
    ready = time.monotonic()
    times: list[float] = []
    images = 0
    with _counted(job.counted):
        # predict() hands out ids in the machine's memory, so a GPU has finished when it returns.
        while len(times) < job.trials or time.monotonic() - ready < job.min_seconds:
            before = time.perf_counter()
            runtime.predict(image)
            if len(times) < job.trials:
                times.append((time.perf_counter() - before) * 1000)
            images += 1
            if len(times) >= LEAST_TRIALS and time.monotonic() - ready >= limit:
                break
    ended = time.monotonic()
    memory = peak.read()
    if job.device == "cuda":
        import torch

        memory = available(torch.cuda.max_memory_allocated() / MIB, "MiB of GPU memory")
    threads = job.threads or usable_cpus()
    operators, kind = (
        top_operators(choice, subject.model, runtime, image, threads) if job.operators else ((), "")
    )
    return Done(
        name=subject.name,
        trained=subject.trained,
        parameters=subject.parameters,
        file_bytes=subject.file_bytes,
        flops=flops,
        times_ms=tuple(times),
        warm_up=warm_up,
        started=started,
        ready=ready,
        executing=(ready, ended),
        images=images,
        peak_memory=memory,
        operators=operators,
        operators_of=kind,
    )


@contextlib.contextmanager
def _counted(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    import torch

    torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]


def main() -> None:
    """Run the job in the first file, write what was found into the second."""
    with contextlib.suppress(
        OSError
    ):  # where memory runs out, Linux ends this process, not the user's others
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    job, result = (Path(argument) for argument in sys.argv[1:3])
    done = run(Job.model_validate_json(job.read_bytes()))
    write_atomically(result, done.model_dump_json().encode())


if __name__ == "__main__":
    main()
