"""The sound files that the campaign damages: small slides of many formats, and real ones where they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from originals_vendor import coarse_ndpi, write_dicom

from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.slide_file import halved

RGB = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 320, 256
MPP = 0.5


@dataclass(frozen=True, slots=True)
class Original:
    """One sound slide."""

    name: str
    kind: str
    """tiff, dicom or zarr: how its metadata are altered."""
    path: Path
    """File or folder that is given to wsiseg."""
    mpp: tuple[float, float] = (1.0, 1.0)
    """Given as `--slide-mpp`: 1 makes the model look at level 0 itself; the large ones are shrunk."""
    plain: bool = False
    """Whether pixels lie in the file as they are: a byte zeroed there is a black pixel, not a fill."""
    every: int = 1
    """Tried in one round out of so many: the large ones are slow."""


def make_originals(folder: Path, shared: Path | None) -> list[Original]:
    """Write the generated slides into a folder; return them, and the real ones of `shared` behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    rgb = generate_phantom(7, WIDTH_PX, HEIGHT_PX, MPP).rgb
    found = [
        Original("aperio-jpeg", "tiff", _aperio(folder / "aperio-jpeg.svs", rgb, "jpeg")),
        Original(
            "aperio-jpeg2000", "tiff", _aperio(folder / "aperio-jpeg2000.svs", rgb, "APERIO_JP2000_RGB")
        ),
        Original("tiff-deflate", "tiff", _tiff(folder / "tiff-deflate.tif", rgb, compression="zlib")),
        Original("tiff-lzw", "tiff", _tiff(folder / "tiff-lzw.tif", rgb, compression="lzw")),
        Original("tiff-raw-big", "tiff", _tiff(folder / "tiff-raw-big.tif", rgb, bigtiff=True), plain=True),
        Original("ome-tiff", "tiff", _ome_tiff(folder / "ome-tiff.ome.tif", rgb)),
        Original("ome-zarr-0.5", "zarr", _zarr(folder / "zarr05.ome.zarr", rgb, 3)),
        Original("ome-zarr-0.4", "zarr", _zarr(folder / "zarr04.ome.zarr", rgb, 2)),
        Original("dicom", "dicom", write_dicom(folder / "dicom", rgb, MPP)),
    ]
    return found + ([] if shared is None else _real(shared / "slides", folder))


def made_originals(folder: Path, shared: Path | None) -> list[Original]:
    """Return what `make_originals` does, made in another process: this one has to stay without threads."""
    command = [sys.executable, __file__, str(folder), *([] if shared is None else [str(shared)])]
    listed = subprocess.run(command, check=True, timeout=600, stdout=subprocess.PIPE).stdout
    return [
        Original(**{**row, "path": Path(row["path"]), "mpp": tuple(row["mpp"])}) for row in json.loads(listed)
    ]


def _real(slides: Path, folder: Path) -> list[Original]:
    """Real slides; of the NDPI the levels from 1 MP down, for a file of 20 MP is slow to try."""
    known = [
        Original("real-svs", "tiff", slides / "CMU-1-Small-Region.svs", (0.25, 0.25), every=8),
        Original("real-jpeg2000", "tiff", slides / "tcga-jpeg2000-no-mpp.svs", (0.25, 0.25), every=8),
        Original("real-dicom", "dicom", slides / "CMU-1-Small-Region-dicom", (0.25, 0.25), every=8),
    ]
    ndpi = slides / "fluorescence-DAPI-2-(387).ndpi"
    if ndpi.is_file():
        known.append(Original("ndpi", "tiff", coarse_ndpi(ndpi, folder / "coarse.ndpi", first=2), (0.5, 0.5)))
    return [item for item in known if item.path.exists()]


def _levels(rgb: RGB) -> list[RGB]:
    return [rgb, halved(rgb), halved(halved(rgb))]


def _aperio(path: Path, rgb: RGB, compression: str) -> Path:
    """As a ScanScope writes: the description carries the mpp, levels follow as directories of their own."""
    text = f"Aperio Image Library v12\r\n{rgb.shape[1]}x{rgb.shape[0]} |AppMag = 20|MPP = {MPP}"
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate(_levels(rgb)):
            tiff.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                compression=compression,
                description=text if number == 0 else None,
                subfiletype=0 if number == 0 else 1,
                metadata=None,
            )
    return path


def _tiff(path: Path, rgb: RGB, *, bigtiff: bool = False, compression: str | None = None) -> Path:
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for number, level in enumerate(_levels(rgb)):
            tiff.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                compression=compression,
                resolution=(1e4 / MPP / 2**number,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=0 if number == 0 else 1,
                metadata=None,
            )
    return path


def _ome_tiff(path: Path, rgb: RGB) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        first, *others = _levels(rgb)
        metadata = {
            "axes": "YXS",
            "PhysicalSizeX": MPP,
            "PhysicalSizeY": MPP,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
        }
        options = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
        tiff.write(first, subifds=len(others), metadata=metadata, **options)
        for level in others:
            tiff.write(level, subfiletype=1, metadata=None, **options)
    return path


def _zarr(path: Path, rgb: RGB, zarr_format: int) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for number, level in enumerate(_levels(rgb)):
        keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if zarr_format == 2 else {}
        group.create_array(
            str(number), data=np.ascontiguousarray(level.transpose(2, 0, 1)), chunks=(3, 128, 128), **keys
        )
        scale = {"type": "scale", "scale": [1.0, MPP * 2**number, MPP * 2**number]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale]})
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    version = "0.4" if zarr_format == 2 else "0.5"
    multiscales = [{"name": "image", "axes": axes, "datasets": datasets}]
    if zarr_format == 2:
        group.attrs["multiscales"] = [{**multiscales[0], "version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    return path


if __name__ == "__main__":
    made = make_originals(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(json.dumps([asdict(item) for item in made], default=str))
