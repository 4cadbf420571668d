"""wsiseg view: a slide, and what was found in it, in napari."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from wsiseg.errors import InputRefusedError, UsageError

EPILOG = "Example: wsiseg view slide.svs results/slide.wsiseg.ome.zarr"
PLUGIN = "napari_wsiseg"
INSTALL = (
    "napari and its wsiseg plug-in are not installed here: pip install 'wsiseg[napari]', "
    "or in a checkout pip install . './plugins/napari-wsiseg[qt]'"
)


def view(
    slide: Annotated[
        str, typer.Argument(metavar="SLIDE", help="A slide file, DICOM folder or OME-Zarr; or a result.")
    ],
    result: Annotated[
        Path | None, typer.Argument(metavar="[RESULT]", help="A result of it: slide.wsiseg.ome.zarr.")
    ] = None,
) -> None:
    """Open a slide in napari, with its result over it and the wsiseg panels beside it."""
    for name in ("napari", PLUGIN):
        if importlib.util.find_spec(name) is None:
            raise UsageError(INSTALL)
    for path in (slide, *([] if result is None else [str(result)])):
        if "://" not in path and not Path(path).exists():
            raise InputRefusedError(f"{path}: no such file or folder")
    arguments = [slide] if result is None else [slide, str(result)]
    # A process of its own: nothing of wsiseg imports napari or Qt.
    done = subprocess.run([sys.executable, "-m", PLUGIN, *arguments], check=False)
    raise typer.Exit(done.returncode)
