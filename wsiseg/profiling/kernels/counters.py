"""What the paper calls efficiency, under its old and its new name, and its mean over the kernels of a run.

The new names are those of NVIDIA's own comparison table for users of nvprof (Nsight Compute CLI manual,
"Metric Comparison"). The warp counter has another unit: threads per instruction, of 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wsiseg.profiling.results import Efficiency, KernelReport, Missing, Operator

WARP_THREADS = 32
NCU_TIME = "gpu__time_duration.sum"


@dataclass(frozen=True)
class Counter:
    """One efficiency, 0 to 100 % (shared memory can exceed it on some architectures)."""

    nvprof: str
    ncu: str
    words: str
    ncu_scale: float = 1.0
    """From ncu's unit to percent."""


COUNTERS = (
    Counter(
        "warp_execution_efficiency",
        "smsp__thread_inst_executed_per_inst_executed.ratio",
        "active threads per executed warp",
        100 / WARP_THREADS,
    ),
    Counter(
        "gld_efficiency",
        "smsp__sass_average_data_bytes_per_sector_mem_global_op_ld.pct",
        "global loads: bytes asked for over bytes moved",
    ),
    Counter(
        "gst_efficiency",
        "smsp__sass_average_data_bytes_per_sector_mem_global_op_st.pct",
        "global stores: bytes asked for over bytes moved",
    ),
    Counter(
        "shared_efficiency",
        "smsp__sass_average_data_bytes_per_wavefront_mem_shared.pct",
        "shared memory: bytes asked for over bytes moved",
    ),
)


@dataclass
class Kernel:
    """One kernel, all its launches together."""

    name: str
    time_s: float = 0.0
    calls: int = 0
    percent: dict[str, float] = field(default_factory=dict)
    """nvprof's name of a counter -> mean over the launches."""


def report(model: str, tool: str, kernels: Sequence[Kernel], missing: Iterable[Missing] = ()) -> KernelReport:
    """Return the efficiencies weighted by each kernel's time, and the ten kernels with most of it.

    A counter of 0 % means that a kernel makes no such access (an access that moves bytes has asked for some),
    so it is left out of that mean; `covered` says which share of the time is left.
    """
    total = math.fsum(kernel.time_s for kernel in kernels)
    gone = list(missing)
    efficiencies: list[Efficiency] = []
    for counter in COUNTERS:
        counted = [kernel for kernel in kernels if kernel.percent.get(counter.nvprof, 0) > 0]
        weight = math.fsum(kernel.time_s for kernel in counted)
        if weight <= 0:
            gone.append(
                Missing(
                    what=counter.nvprof,
                    reason="no kernel with a known time has this counter above 0",
                    remedy="give both files of nvprof: its times (--csv) and its metrics (--csv --metrics)",
                )
            )
            continue
        mean = math.fsum(kernel.percent[counter.nvprof] * kernel.time_s for kernel in counted) / weight
        efficiencies.append(Efficiency(name=counter.nvprof, percent=mean, covered=min(1.0, weight / total)))
    first = sorted(kernels, key=lambda kernel: (-kernel.time_s, kernel.name))[:10]
    top = (
        Operator(name=kernel.name[:200], share=min(1.0, kernel.time_s / total), calls=kernel.calls)
        for kernel in first
        if total > 0 and kernel.time_s > 0
    )
    return KernelReport(
        model=model,
        tool=tool,  # type: ignore[arg-type]  # the callers are the two tools
        efficiencies=tuple(efficiencies),
        top=tuple(top),
        missing=tuple(gone),
    )
