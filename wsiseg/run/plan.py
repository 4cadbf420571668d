"""Everything about a run that is settled before the first tile is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.class_map import ClassMap
from wsiseg.confidence import Calibration
from wsiseg.errors import UsageError
from wsiseg.geometry import Region
from wsiseg.inference.runtime import RuntimeChoice, choose_runtime
from wsiseg.pyramid.store import CHUNK_PX, StoreLayout
from wsiseg.run.predict_options import PredictOptions
from wsiseg.run.predict_record import prediction_record
from wsiseg.slides import brightfield_warning, resolve_mpp
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import WHOLE_WITHIN, Frame, check_resolution, check_size, frame_at, image_frame_for
from wsiseg.tiling.grid import TileGrid
from wsiseg.tiling.tissue import TissueMask, all_tissue, find_tissue
from wsiseg.tiling.tissue_file import file_sha256, read_tissue_file

if TYPE_CHECKING:
    from wsiseg.models import Model, ModelCard

TILE_PX = 1024
HALO_PX = 128
PHOTO_TILE_PX = 2048
PHOTO_HALO_PX = 128

FindTissue = Callable[[Slide, Frame], TissueMask]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run, settled."""

    slide: Slide
    model: Model
    choice: RuntimeChoice
    frame: Frame
    """Of the label map."""
    image_frame: Frame
    grid: TileGrid
    roi: Region | None
    """In label pixels."""
    tissue: TissueMask
    layout: StoreLayout
    outside: tuple[int, int, int]
    """RGB beyond the slide's edges."""
    record: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.model.card

    @property
    def class_map(self) -> ClassMap:
        """The model's classes."""
        return self.model.card.class_map

    @property
    def is_photo(self) -> bool:
        """Whether sizes are in pixels, not micrometres."""
        return self.card.domain == "photo"

    @property
    def pixel_mm2(self) -> float | None:
        """Area of a label pixel; None for a photo."""
        return None if self.is_photo else self.frame.pixel_mm2

    def inside(self, region: Region) -> NDArray[np.bool_] | None:
        """Return which pixels of a rectangle lie in the region of interest; None where all do."""
        if self.roi is None or region.intersect(self.roi) == region:
            return None
        mask = np.zeros(region.shape, bool)
        mask[region.intersect(self.roi).slices_in(region)] = True
        return mask


def make_plan(
    slide: Slide, model: Model, options: PredictOptions, *, find: FindTissue = find_tissue
) -> RunPlan:
    """Settle a run: resolution, tissue, tiles, runtime, and the record of it all.

    Reads only coarse levels; `find` may know the tissue of a slide already. Raises InputRefusedError or
    UsageError, in one line, for what cannot be done.
    """
    if options.block_px <= 0 or options.block_px % CHUNK_PX:
        raise UsageError(f"block_px is {options.block_px}: expected a multiple of {CHUNK_PX}")
    card = model.card
    photo = card.domain == "photo"
    if photo and options.tissue not in ("auto", "none"):
        raise UsageError(
            f"--tissue {options.tissue}: model {card.name} is for photos, which have no tissue rule"
        )
    warnings = list(slide.warnings)
    if photo:
        frame = image_frame = _photo_frame(slide, options)
        from wsiseg.models.card import shrink_of

        shrink = shrink_of(card)
    else:
        if card.mpp is None:
            raise UsageError(f"model {card.name}: its card has no mpp")
        mpp = resolve_mpp(slide, options.slide_mpp)
        warnings += [text for text in (brightfield_warning(slide), check_resolution(mpp, card.mpp)) if text]
        frame = frame_at(slide.levels[0], mpp, card.mpp, whole_within=WHOLE_WITHIN)
        image_frame = image_frame_for(slide, mpp, frame, options.image_mpp)
        shrink = 1
    check_size(slide, frame)
    choice = choose_runtime(options.runtime, options.precision, options.device)
    grid = _grid(frame, model, options, shrink)
    roi = None if options.roi is None else _roi_in(frame, options.roi, slide)
    tissue, tissue_record = _tissue(slide, frame, "none" if photo else options.tissue, find)
    if tissue_record["mode"] != "none" and not (has_background(card.class_map)):
        raise UsageError(f"model {card.name} has no background class with id 0 for glass: use --tissue none")
    if not tissue.cells.any():
        warnings.append("no tissue was found, so nothing was segmented: --tissue none looks at everything")
    layout = StoreLayout(
        version=options.ngff,
        name=slide.name,
        unit=None if photo else "micrometer",
        label_shape=(frame.height_px, frame.width_px),
        label_pixel=frame.mpp,
        image_shape=(image_frame.height_px, image_frame.width_px),
        image_pixel=image_frame.mpp,
        block_px=grid.block_px,
        confidence=Calibration(card.temperature, card.calibrated) if options.confidence else None,
    )
    if options.confidence and not card.calibrated:
        warnings.append(
            f"model {card.name} was never calibrated: its confidences are no probabilities; "
            f"wsiseg calibrate fits them"
        )
    return RunPlan(
        slide=slide,
        model=model,
        choice=choice,
        frame=frame,
        image_frame=image_frame,
        grid=grid,
        roi=roi,
        tissue=tissue,
        layout=layout,
        outside=mean_colour(card) if photo else slide.background,
        record=prediction_record(
            slide,
            model,
            options,
            choice,
            frame,
            image_frame,
            grid,
            None if photo else mpp,
            tissue_record,
            layout.confidence,
        ),
        warnings=warnings,
    )


def _grid(frame: Frame, model: Model, options: PredictOptions, shrink: int) -> TileGrid:
    """Return the blocks and tiles of a label frame; a photo that fits into one tile needs no halo."""
    card = model.card
    photo = card.domain == "photo"
    default_tile, default_halo = (PHOTO_TILE_PX, PHOTO_HALO_PX) if photo else (TILE_PX, HALO_PX)
    fits = photo and max(frame.width_px, frame.height_px) <= PHOTO_TILE_PX
    try:
        return TileGrid.fit(
            frame.width_px,
            frame.height_px,
            tile_px=min(_first(options.tile_px, card.tile_px, default_tile), options.block_px),
            halo_px=0 if fits else _first(options.halo_px, card.halo_px, default_halo),
            phase_px=model.input_multiple * shrink,
            block_px=options.block_px,
        )
    except ValueError as error:
        raise UsageError(f"model {card.name} cannot be tiled so: {error}") from error


def mean_colour(card: ModelCard) -> tuple[int, int, int]:
    """Return the RGB that the network's normalisation maps nearest to 0: what its own padding looks like."""
    mean = card.mean if card.channel_order == "rgb" else card.mean[::-1]
    red, green, blue = (min(255, max(0, round(value))) for value in mean)
    return red, green, blue


def has_background(classes: ClassMap) -> bool:
    """Return whether id 0 is there to say "no tissue"."""
    return any(item.id == 0 and item.background for item in classes.classes)


def _photo_frame(slide: Slide, options: PredictOptions) -> Frame:
    level = slide.levels[0]
    if options.slide_mpp is not None:
        raise UsageError("--slide-mpp: the model is for photos, which have no physical size")
    return Frame(mpp=(1.0, 1.0), width_px=level.width_px, height_px=level.height_px, factor_l0=(1.0, 1.0))


def _roi_in(frame: Frame, roi_l0: Region, slide: Slide) -> Region:
    level = slide.levels[0]
    if roi_l0.width <= 0 or roi_l0.height <= 0 or not roi_l0.intersect(level.region).area:
        raise UsageError(
            f"--roi {roi_l0.x},{roi_l0.y},{roi_l0.width},{roi_l0.height} has no pixel of the slide's "
            f"{level.width_px} x {level.height_px} level-0 pixels: give X,Y,W,H inside of it"
        )
    return frame.from_l0(roi_l0.intersect(level.region))


def _tissue(slide: Slide, frame: Frame, how: str, find: FindTissue) -> tuple[TissueMask, dict[str, Any]]:
    if how == "none":
        return all_tissue(frame), {"mode": "none"}
    if how == "auto":
        mask, given = find(slide, frame), None
    else:
        path = Path(how)
        mask, given = read_tissue_file(path, slide.levels[0], frame), file_sha256(path)
    cells = hashlib.sha256(np.packbits(mask.cells).tobytes()).hexdigest()
    return mask, {"mode": "auto" if given is None else "file", "file_sha256": given, "cells_sha256": cells}


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
