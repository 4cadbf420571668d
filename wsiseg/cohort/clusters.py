"""Where the workers of a batch are: processes on this machine, jobs of a queue, or a scheduler by address.

dask.distributed and dask-jobqueue do the work; what is settled here is that no core is used twice: a
worker process takes one slide at a time, and knows how many CPUs are its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from wsiseg.config import Config, load_config
from wsiseg.errors import UsageError
from wsiseg.inference.runtime import CPUS_VARIABLE, usable_cpus

SLOTS = 2
"""Tasks of a spread slide that a process has in work at once: while one reads, the other computes."""
SLIDE, GPU = "slide", "GPU"
"""Resources that a worker declares to the scheduler: slides at once, and GPUs."""
NEEDS = "workers need dask.distributed: pip install 'wsiseg[cluster]'"

Line = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\r\n]+$")]
Memory = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?[KMGT]i?B$")]


class LocalWorkers(Config):
    """Processes on this machine."""

    cluster: Literal["local"]
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    """Processes."""
    cpus: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPUs per process; None shares those that there are."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes get one GPU each, of this many; 0: none."""
    memory: Memory | None = None
    """Per process; one that takes more is killed and its slide goes on elsewhere. None: a fair share."""


class QueueWorkers(Config):
    """Jobs of a queue, one worker process each."""

    cluster: Literal["slurm", "pbs", "lsf"]
    jobs: Annotated[int, Field(ge=1, le=10_000)]
    """Jobs that are kept running; one that ends at its wall time is replaced."""
    cpus: Annotated[int, Field(ge=1, le=1024)]
    """Per job."""
    memory: Memory
    """Per job, such as 16GB."""
    walltime: Line
    """Per job, as the queue writes it: 04:00:00, for LSF 04:00."""
    queue: Line | None = None
    """Queue or partition."""
    account: Line | None = None
    """What the jobs are charged to."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """Per job: one GPU for its worker, or none. How the queue is asked for it goes into `directives`."""
    directives: tuple[Line, ...] = ()
    """Further lines of the job's header, without #SBATCH, #PBS or #BSUB."""
    prologue: tuple[Line, ...] = ()
    """Shell lines before the worker starts: modules, environments."""
    interface: Line | None = None
    """Network interface that workers and scheduler talk over, such as ib0."""
    local_directory: Line | None = None
    """Fast disk of the node for the worker's own files."""
    log_directory: Line | None = None
    """Where the jobs' output goes."""
    python: Line | None = None
    """Interpreter on the nodes; None takes the one that runs here."""


class AddressWorkers(Config):
    """A scheduler that runs already."""

    cluster: Literal["address"]
    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ucx|ws|wss|inproc)://[^\s]+$", max_length=300)]


Workers = LocalWorkers | QueueWorkers | AddressWorkers


class ClusterConfig(Config):
    """One cluster, whole."""

    workers: Annotated[Workers, Field(discriminator="cluster")]
    """Where they are."""


def read_workers(path: Path, settings: tuple[str, ...] = ()) -> Workers:
    """Return what a YAML file says. Raises UsageError, with the key, for what does not fit."""
    return load_config(path, settings, ClusterConfig).workers


@contextmanager
def connect(workers: Workers, timeout_s: float = 20) -> Iterator[Any]:
    """Give a dask client of the workers; processes and jobs that were started end with the block.

    Raises UsageError where a package is missing or the scheduler does not answer.
    """
    if find_spec("distributed") is None:
        raise UsageError(NEEDS)
    import dask
    from distributed import Client

    # What dask writes about a scheduler that is gone, the batch says in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # Without a message from a worker for this long, its slides go to another one.
    with dask.config.set({"distributed.scheduler.worker-ttl": "5 minutes"}):
        if isinstance(workers, AddressWorkers):
            try:
                client = Client(workers.scheduler, timeout=timeout_s, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"--scheduler {workers.scheduler}: does not answer ({type(error).__name__}): start it, "
                    f"or correct the address"
                ) from error
            with client:
                yield client
            return
        cluster = _local(workers) if isinstance(workers, LocalWorkers) else queue_cluster(workers)
        with cluster, Client(cluster, set_as_default=False) as client:
            if isinstance(workers, QueueWorkers):
                cluster.adapt(minimum=workers.jobs, maximum=workers.jobs)  # replaces what ended
            yield client


def _local(workers: LocalWorkers) -> Any:
    from distributed import Nanny, Scheduler, SpecCluster

    cpus = workers.cpus or max(1, usable_cpus() // workers.workers)
    specs = {}
    for number in range(workers.workers):
        environment = {CPUS_VARIABLE: str(cpus)}
        if workers.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(number % workers.gpus)
        specs[number] = {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": SLOTS,
                "resources": resources(bool(workers.gpus)),
                "memory_limit": workers.memory or "auto",
                "env": environment,
                "silence_logs": "ERROR",
            },
        }
    options = {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": options}
    return SpecCluster(scheduler=scheduler, workers=specs, silence_logs="ERROR", name="wsiseg")


def queue_cluster(workers: QueueWorkers) -> Any:
    """Return dask-jobqueue's cluster, which has submitted no job yet; `job_script()` shows what it would."""
    if find_spec("dask_jobqueue") is None:
        raise UsageError("queues need dask-jobqueue: pip install 'wsiseg[cluster]'")
    import dask_jobqueue

    said = ",".join(f"{key}={value}" for key, value in resources(bool(workers.gpus)).items())
    common: dict[str, Any] = {
        "cores": SLOTS,
        "processes": 1,
        "memory": workers.memory,
        "walltime": workers.walltime,
        "queue": workers.queue,
        "interface": workers.interface,
        "local_directory": workers.local_directory,
        "log_directory": workers.log_directory,
        "python": workers.python,
        "job_name": "wsiseg",
        "job_extra_directives": list(workers.directives),
        "job_script_prologue": [f"export {CPUS_VARIABLE}={workers.cpus}", *workers.prologue],
        "worker_extra_args": ["--resources", said],
        "scheduler_options": {"dashboard_address": ":0"},  # whichever port is free
    }
    if workers.cluster == "slurm":
        return dask_jobqueue.SLURMCluster(job_cpu=workers.cpus, account=workers.account, **common)
    if workers.cluster == "pbs":
        memory = workers.memory.replace(" ", "").replace("i", "")
        spec = f"select=1:ncpus={workers.cpus}:mem={memory}" + (":ngpus=1" if workers.gpus else "")
        return dask_jobqueue.PBSCluster(resource_spec=spec, account=workers.account, **common)
    return dask_jobqueue.LSFCluster(ncpus=workers.cpus, project=workers.account, **common)


def resources(has_gpu: bool) -> dict[str, int]:
    """Return what a worker declares."""
    return {SLIDE: 1, GPU: 1} if has_gpu else {SLIDE: 1}
