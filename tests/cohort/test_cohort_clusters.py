"""Cluster configs become what dask-jobqueue submits, and nothing else is taken."""

import re
from pathlib import Path

import pytest

from wsiseg.cohort.clusters import AddressWorkers, LocalWorkers, connect, queue_cluster, read_workers
from wsiseg.errors import UsageError
from wsiseg.inference.runtime import CPUS_VARIABLE, usable_cpus

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guides" / "cluster.md").read_text(encoding="utf-8")


def job_script(name):
    """Return what would be submitted, without what differs from machine to machine."""
    pytest.importorskip("dask_jobqueue")
    with queue_cluster(read_workers(ROOT / "configs" / f"cluster_{name}.yaml")) as cluster:
        script = cluster.job_script()
    return re.sub(r"\S+ -m distributed", "PYTHON -m distributed", re.sub(r"tcp://\S+", "ADDRESS", script))


def indented(block):
    """Return the fenced block of the guide that holds a text, without its indentation."""
    found = next(part for part in re.findall(r"^ *```\w*\n(.*?)^ *```$", GUIDE, re.M | re.S) if block in part)
    return re.sub(r"^ {3}", "", found, flags=re.M)


def test_the_guide_shows_the_script_that_slurm_gets():
    shown = re.sub(
        r"^PYTHON.*?ADDRESS", "PYTHON -m distributed.cli.dask_worker ADDRESS", indented("#SBATCH -J wsiseg")
    )
    assert job_script("slurm").strip() == shown.strip()


def test_the_guide_shows_the_config_that_is_shipped():
    shipped = (ROOT / "configs" / "cluster_slurm.yaml").read_text(encoding="utf-8")
    assert shipped.split("\n", 1)[1].strip() == indented("cluster: slurm").strip()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("slurm_gpu", ("#SBATCH --gres=gpu:1", "--resources slide=1,GPU=1")),
        ("pbs", ("#PBS -l select=1:ncpus=8:mem=24GB", "#PBS -l walltime=04:00:00", "--resources slide=1")),
        ("lsf", ("#BSUB -n 8", "#BSUB -W 04:00", '#BSUB -P "pathology"')),
    ],
)
def test_other_queues(name, lines):
    script = job_script(name)
    for line in (*lines, "export WSISEG_CPUS=8", "--nanny"):
        assert line in script


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers: {cluster: slurm, jobs: 2}", "workers.cpus is missing"),
        ("workers: {cluster: sge}", "workers.cluster is 'sge'"),
        ("workers: {jobs: 2}", "workers.cluster is missing"),
        ("workers: {cluster: local, workers: 0}", "workers.workers is 0"),
        ("workers: {cluster: local, thread: 2}", "unknown key workers.thread"),
        ("workers: {cluster: address, scheduler: 'ftp://x'}", "workers.scheduler"),
        (
            'workers: {cluster: slurm, jobs: 1, cpus: 1, memory: 1GB, walltime: "1", queue: "a\\nb"}',
            "workers.queue",
        ),
        ("[]", "holds a list"),
    ],
)
def test_wrong_configs_are_refused_with_their_key(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_workers(path)
    assert said in str(error.value)


def test_processes_share_the_cpus(monkeypatch):
    monkeypatch.delenv(CPUS_VARIABLE, raising=False)
    everything = usable_cpus()
    for text, expected in (("1", 1), ("100000", everything), ("0", everything), ("x", everything)):
        monkeypatch.setenv(CPUS_VARIABLE, text)
        assert usable_cpus() == expected


def test_missing_packages_are_said(monkeypatch):
    monkeypatch.setattr("wsiseg.cohort.clusters.find_spec", lambda name: None)
    with (
        pytest.raises(UsageError, match=r"pip install 'wsiseg\[cluster\]'"),
        connect(LocalWorkers(cluster="local")),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_said():
    pytest.importorskip("distributed")
    import socket

    with socket.socket() as held:  # bound, and listening to nobody
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        with (
            pytest.raises(UsageError, match="does not answer"),
            connect(AddressWorkers(cluster="address", scheduler=address), timeout_s=1),
        ):
            pass
