"""Annotations to a label store of the same layout as a prediction: viewed, scored and trained on alike."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.classes import label_values
from wsiseg.annotations.rasterise import AnnotationLayer, Overlap
from wsiseg.annotations.reading import read_annotations
from wsiseg.class_map import NOT_ANALYSED, TISSUE8, UNREAD, ClassMap
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.label_layer import ZarrLayer
from wsiseg.pyramid.journal import Journal
from wsiseg.pyramid.metadata import NgffVersion
from wsiseg.pyramid.store import ResultStore, StoreLayout
from wsiseg.run.output import OutputPaths
from wsiseg.run.result import SlideResult, write_result
from wsiseg.run.run_record import fingerprint, local_files, package_versions
from wsiseg.run.store_run import Progress, StoreRun
from wsiseg.slides import open_slide, resolve_mpp, slide_id
from wsiseg.slides.label_zarr import is_zarr, open_label_zarr
from wsiseg.slides.slide import Slide
from wsiseg.stitching.kernel import BlockCounts
from wsiseg.tiling.frame import Frame, check_size, frame_at, image_frame_for
from wsiseg.tiling.grid import TileGrid
from wsiseg.tiling.tissue import all_tissue

Json = dict[str, Any]

BLOCK_PX = 2048
RECORD_FORMAT = 1
NOTICE = "Labels drawn by people or programs, imported as they were. Not for diagnostic use."


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a user can choose about one import."""

    classes: ClassMap = TISSUE8
    overlap: Overlap = "later"
    """Which of two areas that overlap is kept: the later in the file, or the smaller."""
    ignored: tuple[str, ...] = ()
    """Annotation names that become 255, besides the class map's own."""
    mpp: float | None = None
    """um per label pixel; None takes the slide's own."""
    slide_mpp: tuple[float, float] | None = None
    """(x, y) um per level-0 pixel; overrides what the file says."""
    image_mpp: float = 4.0
    """um per pixel of the finest level of the image that is stored with the labels."""
    ngff: NgffVersion = "0.5"
    workers: int | None = None
    overwrite: bool = False


class Layer(Protocol):
    """What labels are drawn from."""

    def rasterise(self, region: Region, factor_l0: tuple[float, float]) -> NDArray[np.uint8]:
        """Return (region.height, region.width) uint8, 255 where nothing is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """An import, settled."""

    slide: Slide
    frame: Frame
    image_frame: Frame
    grid: TileGrid
    layout: StoreLayout
    outside: tuple[int, int, int]
    class_map: ClassMap
    layer: Layer
    record: Json
    roi: Region | None = None
    is_photo: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def pixel_mm2(self) -> float | None:
        """Area of a label pixel."""
        return self.frame.pixel_mm2


class ImportRun(StoreRun):
    """Draws the annotations, block by block; blocks without any are not written and stay 255."""

    def __init__(
        self, plan: ImportPlan, store: ResultStore, journal: Journal, progress: Progress | None
    ) -> None:
        super().__init__(plan, store, journal, progress)
        self.plan = plan

    def _wanted_blocks(self) -> set[tuple[int, int]]:
        """See `StoreRun._wanted_blocks`."""
        if not isinstance(self.plan.layer, AnnotationLayer):
            return super()._wanted_blocks()
        grid, factor = self.plan.grid, self.plan.frame.factor_l0
        return {at for at in grid.blocks() if len(self.plan.layer.touching(grid.block(*at), factor))}

    def _label_block(self, row: int, column: int) -> None:
        """Draw and write one block of label level 0."""
        block = self.plan.grid.block(row, column)
        labels = self.plan.layer.rasterise(block, self.plan.frame.factor_l0)
        pixels = np.bincount(labels.ravel(), minlength=256)
        drawn = {int(label): int(pixels[label]) for label in np.flatnonzero(pixels) if label < UNREAD}
        counts = BlockCounts(drawn, no_tissue=0, unread=0, not_analysed=int(pixels[NOT_ANALYSED]))
        self._write_labels((0, row, column), labels, counts=asdict(counts))
        self._advance(block.area)


def import_annotations(
    annotation: str | Path,
    slide_source: str | Path,
    output_dir: str | Path = ".",
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> SlideResult:
    """Turn an annotation file into a label store, a summary and an overlay picture.

    Written as `<slide id>.annotations.*`, so that a prediction of the slide may lie beside it. Run again
    after an interruption, it goes on where it stopped. Raises WsisegError, in one line.
    """
    options = options or ImportOptions()
    path, folder, started = Path(annotation), Path(output_dir), time.monotonic()
    with open_slide(slide_source) as slide:
        paths = OutputPaths.of(folder, f"{slide_id(slide.source)}.annotations")
        paths.check_apart_from(*local_files(slide), path)
        plan = plan_import(slide, path, options)
        return write_result(
            paths,
            plan,
            lambda store, journal: ImportRun(plan, store, journal, progress),
            tissue=all_tissue(plan.frame),
            said={"notice": NOTICE},
            title=f"{slide.name}: {path.name}",
            notice=NOTICE,
            workers=options.workers,
            overwrite=options.overwrite,
            started=started,
        )


def plan_import(slide: Slide, path: Path, options: ImportOptions) -> ImportPlan:
    """Read the annotations and settle the import. Raises WsisegError, in one line."""
    mpp = resolve_mpp(slide, options.slide_mpp)
    level = slide.levels[0]
    if options.mpp is not None and not 0.99 * min(mpp) <= options.mpp <= 100:
        raise UsageError(f"--mpp {options.mpp:g}: expected the slide's {min(mpp):g} um/px or up to 100")
    frame = frame_at(level, mpp, options.mpp or min(mpp))
    check_size(slide, frame)
    image_frame = image_frame_for(slide, mpp, frame, options.image_mpp)
    warnings = list(slide.warnings)
    size_l0 = (level.width_px, level.height_px)
    size_l0 = (level.width_px, level.height_px)
    layer: Layer
    if is_zarr(path):
        source = open_label_zarr(path)
        layer = ZarrLayer(source, options.classes, options.ignored, size_l0, mpp, frame.factor_l0)
        digest, areas = source.sha256(), None
    else:
        annotations = read_annotations(path, size_l0=size_l0, warn=warnings.append)
        labels = label_values(annotations, options.classes, options.ignored)
        warnings += _outside(path, [item.exterior for item in annotations], size_l0)
        layer = AnnotationLayer(annotations, labels, options.overlap)
        with path.open("rb") as file:
            digest, areas = hashlib.file_digest(file, "sha256").hexdigest(), len(annotations)
    grid = TileGrid.fit(frame.width_px, frame.height_px, tile_px=BLOCK_PX, halo_px=0, block_px=BLOCK_PX)
    layout = StoreLayout(
        version=options.ngff,
        name=slide.name,
        unit="micrometer",
        label_shape=(frame.height_px, frame.width_px),
        label_pixel=frame.mpp,
        image_shape=(image_frame.height_px, image_frame.width_px),
        image_pixel=image_frame.mpp,
        block_px=BLOCK_PX,
    )
    classes = options.classes.model_dump(mode="json")
    record = {
        "format": RECORD_FORMAT,
        "slide": {
            "name": slide.name,
            "backend": slide.backend,
            "width_px": level.width_px,
            "height_px": level.height_px,
            "mpp": list(mpp),
            "fingerprint": fingerprint(slide),
        },
        "annotations": {
            "name": path.name,
            "sha256": digest,
            "areas": areas,
            "overlap": options.overlap,
            "ignored": sorted(options.ignored),
            "classes_sha256": hashlib.sha256(json.dumps(classes, sort_keys=True).encode()).hexdigest(),
        },
        "label_mpp": list(frame.mpp),
        "image_mpp": list(image_frame.mpp),
        "block_px": BLOCK_PX,
        "tissue": {"mode": "none"},
        "roi_l0": None,
        "ngff": options.ngff,
        "versions": package_versions(),
    }
    return ImportPlan(
        slide=slide,
        frame=frame,
        image_frame=image_frame,
        grid=grid,
        layout=layout,
        outside=slide.background,
        class_map=options.classes,
        layer=layer,
        record=record,
        warnings=warnings,
    )


def _outside(path: Path, exteriors: Iterable[Any], size_l0: tuple[int, int]) -> list[str]:
    """Refuse annotations of which none touches the slide; warn where some reach beyond it."""
    rings = list(exteriors)
    low, high = np.array([ring.min(0) for ring in rings]), np.array([ring.max(0) for ring in rings])
    size = np.array(size_l0)
    touching = ((high > 0) & (low < size)).all(1)
    if not touching.any():
        raise InputRefusedError(
            f"annotation {path.name}: no area touches the slide's {size_l0[0]} x {size_l0[1]} level-0 "
            f"pixels: it belongs to another slide or another resolution"
        )
    beyond = int(((low < -1) | (high > size + 1)).any(1).sum())
    return [f"{path.name}: {beyond} areas reach beyond the slide and are cut at its edges"] if beyond else []
