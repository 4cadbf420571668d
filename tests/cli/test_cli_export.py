"""wsiseg export and predict --also as a user types them: every format, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from label_stores import PHOTO, labels_for_tests, make_store

from wsiseg.cli.export import SUFFIXES, default_path, export_beside


def wsiseg(*arguments):
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "s.wsiseg.ome.zarr", labels_for_tests())


def test_every_format_has_a_place_of_its_own_and_is_said(store, tmp_path):
    done = wsiseg("export", store, "--format", "ome-tiff")
    assert (done.returncode, done.stderr) == (0, "")
    path = store.with_name("s.labels.ome.tiff")
    assert done.stdout == f"{path}: 3 levels\n"
    np.testing.assert_array_equal(tifffile.imread(path), labels_for_tests())
    again = wsiseg("export", store, "--format", "ome-tiff")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    table = wsiseg("export", store, "--format", "parquet", "-o", tmp_path / "table.pq", "-q")
    assert (table.returncode, table.stdout) == (0, "")
    assert (tmp_path / "table.pq").read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--format", "dicom-seg"], 2, "--slide FOLDER"),
        (["--format", "dicom-seg", "--slide", "absent"], 3, "no such file or folder"),
        (["--format", "tiff", "--level", "1"], 2, "tiff has every level"),
        (["--format", "tiff", "--regions", "a.geojson"], 2, "--regions"),
        (["--format", "png", "--slide", "a"], 2, "--slide"),
        (["--format", "docx"], 2, "unknown --format 'docx'"),
    ],
)
def test_refused_in_one_line(store, arguments, code, reason):
    done = wsiseg("export", store, *arguments)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", [kind for kind in SUFFIXES if kind != "dicom-seg"])
@pytest.mark.parametrize("run", [None, PHOTO])
def test_beside_a_result_of_a_slide_or_photo(tmp_path, kind, run):
    how = {} if run is None else {"run": run}
    path = make_store(tmp_path / "s.wsiseg.ome.zarr", labels_for_tests(), **how)
    written = export_beside(path, kind, None, overwrite=False)
    assert written == default_path(path, kind)
    assert written.stat().st_size > 100
    content = written.read_bytes()
    assert export_beside(path, kind, None, overwrite=False) is None
    assert export_beside(path, kind, None, overwrite=True) == written
    assert written.read_bytes() == content


@pytest.mark.shared
def test_predict_also_dicom_seg(shared_data, tmp_path):
    """Of a DICOM slide it is written; of another it is refused before any work."""
    how = ["-o", tmp_path / "out", "--tissue", "none", "--roi", "0,0,500,500", "--also", "dicom-seg"]
    slides = shared_data / "slides"
    refused = wsiseg("predict", slides / "CMU-1-Small-Region.svs", *how)
    assert refused.returncode == 2
    assert "is no DICOM slide" in refused.stderr
    assert not (tmp_path / "out").exists()
    done = wsiseg("predict", slides / "CMU-1-Small-Region-dicom", *how)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "CMU-1-Small-Region-dicom.labels.dcm").is_file()
