"""A result store, open for reading: labels, classes and where they lie on the slide."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.confidence import Calibration
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.pyramid.metadata import LABEL_NAME
from wsiseg.shortage import blame_no_input

STRIP_PX = 8_000_000
"""Label pixels of one strip: with what tracing needs, about 150 MB, in each of a few threads."""
SLAB_ROWS = 512
"""Rows read at once: one row of chunks, so that each chunk is unpacked once."""
CONFIDENCE_GROUPS = tuple(Calibration(1.0, fitted).group for fitted in (True, False))
COARSE_PX = 1024
"""Longer side of the image that is looked at to tell slides apart."""


@dataclass(frozen=True, slots=True)
class LabelStore:
    """The label pyramid of a store and what its metadata say."""

    path: Path
    classes: ClassMap
    factor_l0: tuple[float, float]
    """(x, y) level-0 pixels of the slide per label pixel of the finest level."""
    mpp: tuple[float, float] | None
    """(x, y) um per label pixel of the finest level; None for a photo."""
    identity: str
    """The same for every store that the same run wrote; ids of exported objects are made from it."""
    run: dict[str, Any]
    """The run record: what the labels depend on."""
    levels: tuple[Any, ...]
    """Arrays of (rows, columns) uint8, finest first; each half of the one before."""
    images: tuple[Any, ...]
    """Arrays of (3, rows, columns) uint8 of the slide, finest first; none in a store of corrections."""
    confidence: tuple[Any, ...] = ()
    """Arrays as the labels, see `wsiseg.confidence`; none where they were not asked for."""
    is_calibrated: bool = False
    """Whether the confidences were fitted to data."""

    def check_level(self, level: int) -> None:
        """Raise UsageError for a level that is not there."""
        if not 0 <= level < len(self.levels):
            raise UsageError(f"--level {level}: {self.path.name} has levels 0 to {len(self.levels) - 1}")

    def shape(self, level: int) -> tuple[int, int]:
        """Return (rows, columns) of a level."""
        rows, columns = self.levels[level].shape
        return int(rows), int(columns)

    def read(self, level: int, region: Region) -> NDArray[np.uint8]:
        """Read a rectangle that lies inside of a level. Raises InputRefusedError for damaged data."""
        return self._read("labels", self.levels, level, region)

    def read_confidence(self, level: int, region: Region) -> NDArray[np.uint8]:
        """Read confidences, as `read` does labels."""
        return self._read("confidences", self.confidence, level, region)

    def _read(self, what: str, levels: tuple[Any, ...], level: int, region: Region) -> NDArray[np.uint8]:
        rows, columns = region.slices_in(Region(0, 0, 0, 0))
        try:
            return np.asarray(levels[level][rows, columns], np.uint8)
        except Exception as error:  # every codec has its own
            blame_no_input(error)
            raise InputRefusedError(
                f"{self.path}: {what} at level {level}, row {region.y} cannot be read: "
                f"{' '.join(str(error).split())[:200]}: the store is damaged, predict again with --overwrite"
            ) from error

    def coarse_image(self) -> NDArray[np.float64]:
        """Return the brightness (0 to 255) of the stored image at about the size of the coarsest labels.

        (rows, columns) float64, over the whole slide. Raises InputRefusedError for damaged data.
        """
        if not self.images:
            raise InputRefusedError(f"{self.path}: holds no image: give the result that it belongs to")
        try:
            array = next(item for item in self.images if max(item.shape[1:]) <= COARSE_PX)
            return np.asarray(np.asarray(array[:], np.float64).mean(0))
        except Exception as error:  # every codec has its own
            blame_no_input(error)
            raise InputRefusedError(f"{self.path}: its image cannot be read: the store is damaged") from error

    def strips(self, level: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the rows of a level from the top down, as many at once as bounded memory allows."""
        rows, columns = self.shape(level)
        step = max(1, STRIP_PX // columns)
        for top in range(0, rows, SLAB_ROWS):
            slab = self.read(level, Region(0, top, columns, min(SLAB_ROWS, rows - top)))
            for row in range(0, len(slab), step):
                yield slab[row : row + step]


def open_label_store(path: Path) -> LabelStore:
    """Open the store of a finished prediction, of an import or of corrections.

    Raises InputRefusedError for anything else.
    """
    import zarr
    from zarr.storage import LocalStore

    from wsiseg.slides.zarr_codecs import CheckedStore, codec_names, refused_codecs

    if not path.is_dir():
        raise InputRefusedError(f"{path}: no such folder: expected a result such as slide.wsiseg.ome.zarr")
    work = path.with_name(path.name.removesuffix(".wsiseg.ome.zarr") + ".wsiseg-work")
    if work.is_dir() and path.name.endswith(".wsiseg.ome.zarr"):
        raise InputRefusedError(f"{path}: the run that writes it is not finished: run the same command again")
    try:
        root: Any = zarr.open_group(
            CheckedStore(LocalStore(str(path), read_only=True)), mode="r", use_consolidated=False
        )
        own = root.attrs["wsiseg"]
        label = root[f"labels/{LABEL_NAME}"]
        ome = label.attrs.get("ome", label.attrs)
        names = [str(item["path"]) for item in ome["multiscales"][0]["datasets"]]
        levels = tuple(label[name] for name in names)
        has_image = "corrections" not in own["run"]
        images = tuple(root[str(number)] for number in range(len(names))) if has_image else ()
        group = next((name for name in CONFIDENCE_GROUPS if name in root), None)
        confidence = () if group is None else tuple(root[f"{group}/{name}"] for name in names)
        classes = ClassMap(classes=tuple(LabelClass.model_validate(item) for item in own["classes"]))
        factor, mpp, identity = _place(own["run"])
    except Exception as error:  # zarr, its codecs and what may stand in damaged metadata
        blame_no_input(error)
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise InputRefusedError(
            f"{path}: is no result of wsiseg that can be read ({type(error).__name__}: "
            f"{' '.join(str(reason).split())[:200]})"
        ) from error
    for array in (*levels, *confidence):
        if array.ndim != 2 or array.dtype != np.uint8 or 0 in array.shape:
            raise InputRefusedError(
                f"{path}: {array.path} of shape {array.shape}, {array.dtype}: expected 2-D uint8"
            )
        refused = refused_codecs(codec_names(array))
        if refused:
            raise InputRefusedError(f"{path}: {array.path} {refused}")
    if not levels:
        raise InputRefusedError(f"{path}: has no label level: the store is damaged")
    if confidence and [array.shape for array in confidence] != [array.shape for array in levels]:
        raise InputRefusedError(f"{path}: its confidences have another size than its labels")
    run, calibrated = dict(own["run"]), group == CONFIDENCE_GROUPS[0]
    return LabelStore(path, classes, factor, mpp, identity, run, levels, images, confidence, calibrated)


def _place(run: Any) -> tuple[tuple[float, float], tuple[float, float] | None, str]:
    """Return level-0 pixels per label pixel, um per label pixel, and the run's identity."""
    slide = run["slide"]
    by = run.get("model", {}).get("weights_sha256") or run.get("annotations", {}).get("sha256") or ""
    if "corrections" in run:
        by = f"corrections of {run['corrections']['of']}"
    identity = f"{slide['name']}/{slide['fingerprint']}/{by}"
    if slide["mpp"] is None:
        return (1.0, 1.0), None, identity
    (x, y), (slide_x, slide_y) = run["label_mpp"], slide["mpp"]
    values = [float(value) for value in (x, y, slide_x, slide_y)]
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"pixel sizes of {values}")
    return (_near(values[0] / values[2]), _near(values[1] / values[3])), (values[0], values[1]), identity


def _near(factor: float) -> float:
    """Take a factor that is whole but for float error as whole."""
    whole = round(factor)
    return float(whole) if whole and abs(factor - whole) < 1e-9 * factor else factor
