"""Nsight Compute around one network, where there is one and its counters may be read."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from wsiseg.errors import UsageError, WsisegError
from wsiseg.profiling.kernels.ncu import METRICS, read_ncu
from wsiseg.profiling.measure.child import Job
from wsiseg.profiling.measure.run import child_command
from wsiseg.profiling.results import KernelReport

TIME_LIMIT_S = 3600


def run_ncu(job: Job) -> KernelReport:
    """Count the kernels of a few calls on the GPU. Raises UsageError where that cannot be here."""
    program = shutil.which("ncu")
    if program is None:
        raise UsageError(
            "no program ncu on the path: install Nsight Compute, or give the CSV files of a run elsewhere"
        )
    if job.device != "cuda":
        raise UsageError("kernels are counted on a GPU, but this machine runs networks on its CPU")
    with tempfile.TemporaryDirectory(prefix="wsiseg-profile-") as folder:
        question, answer = Path(folder) / "job.json", Path(folder) / "done.json"
        question.write_text(job.model_dump_json(), encoding="utf-8")
        command = [program, "--csv", "--page", "raw", "--profile-from-start", "off"]
        command += ["--target-processes", "all", "--metrics", ",".join(METRICS)]
        try:
            done = subprocess.run(
                [*command, *child_command(question, answer)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIME_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WsisegError(f"ncu did not end within {TIME_LIMIT_S} s; give fewer --trials") from error
    if "ERR_NVGPUCTRPERM" in done.stdout + done.stderr:
        raise UsageError(
            "ncu may not read the GPU's counters (ERR_NVGPUCTRPERM): run with sudo, or let the administrator "
            "allow them (NVreg_RestrictProfilingToAdminUsers=0)"
        )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise WsisegError(f"ncu failed with exit code {done.returncode}: {last}")
    return read_ncu(done.stdout, job.model)
