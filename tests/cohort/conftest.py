"""A small model and small slides that every test of cohorts shares."""

import hashlib
import os

import numpy as np
import pytest
import tifffile
import torch

from wsiseg.class_map import TISSUE8
from wsiseg.cohort.batch import BatchOptions
from wsiseg.models import Architecture, ModelCard
from wsiseg.models.build import build_model
from wsiseg.models.checkpoint import save_model
from wsiseg.run.predict_options import PredictOptions


@pytest.fixture(scope="module", autouse=True)
def one_cpu():
    """One thread in every process: then torch gives the same bits in all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSISEG_CPUS", "1")
        yield


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A network with random weights: fast, and its labels depend on every pixel."""
    torch.manual_seed(7)
    network = build_model("espnet", num_classes=8, alpha2=1, alpha3=1).eval()
    card = ModelCard(
        name="random",
        summary="Random weights, for tests. Not for diagnostic use.",
        architecture=Architecture(name="espnet", num_classes=8, options={"alpha2": 1, "alpha3": 1}),
        classes=TISSUE8.classes,
        domain="slide",
        mpp=1.0,
        mean=(128, 128, 128),
        std=(50, 50, 50),
        licence="Apache-2.0",
        source="tests",
        training_data="none",
    )
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(path, network, card)
    return path


@pytest.fixture(scope="session")
def slides(tmp_path_factory):
    """A folder with three sound slides and one that is broken."""
    folder = tmp_path_factory.mktemp("slides")
    for seed, name in enumerate(("a", "b", "c")):
        rows, columns = 700 + 100 * seed, 1100
        y, x = np.mgrid[:rows, :columns] // 16
        noise = np.random.default_rng(seed).integers(0, 40, (rows, columns, 3))
        rgb = np.stack([(x * 7 + seed * 40) % 200, (y * 5) % 200, (x + y) % 200], axis=-1) + noise
        tifffile.imwrite(
            folder / f"{name}.tiff",
            rgb.astype(np.uint8),
            photometric="rgb",
            tile=(128, 128),
            resolution=(1e4, 1e4),  # 1 um per pixel
            resolutionunit="CENTIMETER",
        )
    (folder / "broken.svs").write_bytes(b"this is no slide")
    return folder


@pytest.fixture(scope="session")
def options_for(model_file):
    """Return the function that makes a batch's options."""

    def make(predict=None, **changes):
        common = {
            "model": str(model_file),
            "tissue": "none",
            "runtime": "torch",
            "precision": "fp32",
            "tile_px": 256,
            "halo_px": 32,
            "block_px": 512,
        }
        return BatchOptions(predict=PredictOptions(**(common | (predict or {}))), **changes)

    return make


def store_digest(folder):
    """Return one digest over the names and bytes of all files below a folder."""
    digest = hashlib.sha256()
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)  # noqa: PTH118
            digest.update(os.path.relpath(path, folder).encode())
            with open(path, "rb") as file:  # noqa: PTH123
                digest.update(file.read())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def digests_of():
    """Return the function that gives the digest of each finished store of a batch."""

    def all_digests(output):
        return {path.parent.name: store_digest(path) for path in sorted(output.glob("*/*.wsiseg.ome.zarr"))}

    return all_digests
