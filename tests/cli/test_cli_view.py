"""wsiseg view: what it says where napari, or the slide, is not there."""

import subprocess
import sys

import numpy as np
import tifffile

NO_NAPARI = (
    "import importlib.util, sys\n"
    "find = importlib.util.find_spec\n"
    "importlib.util.find_spec = lambda name, *rest: None if name == 'napari' else find(name, *rest)\n"
    "sys.argv = ['wsiseg', 'view', *sys.argv[1:]]\n"
    "from wsiseg.cli.main import main\n"
    "main()\n"
)


def test_one_line_says_how_to_install(tmp_path):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.full((64, 64, 3), 200, np.uint8), photometric="rgb")
    done = subprocess.run(
        [sys.executable, "-c", NO_NAPARI, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'wsiseg[napari]'" in done.stderr


def test_help_has_an_example():
    command = [sys.executable, "-m", "wsiseg", "view", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "wsiseg view slide.svs" in done.stdout
