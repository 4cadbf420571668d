import numpy as np
import pytest
import tifffile
from faults_files import files_of
from resume_child import options_for

from wsiseg import segment_slide


@pytest.fixture(scope="session")
def slide(tmp_path_factory):
    """A slide of which no two places are alike: its labels take room on a disk."""
    path = tmp_path_factory.mktemp("slide") / "noise.tif"
    rgb = np.random.default_rng(5).integers(0, 256, (140, 130, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    tifffile.imwrite(path, rgb, tile=(256, 256), photometric="rgb", compression="zlib")
    return path


@pytest.fixture(scope="session")
def undisturbed(slide, tmp_path_factory):
    """The files of a run that nothing happened to, as `files_of` gives them."""
    out = tmp_path_factory.mktemp("undisturbed")
    segment_slide(slide, out, options_for())
    return files_of(out)
