"""What a user can choose about one prediction; each choice has one line here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsiseg.geometry import Region
from wsiseg.models import DEFAULT_MODEL
from wsiseg.pyramid.metadata import NgffVersion

if TYPE_CHECKING:
    from wsiseg.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """What a user can choose about one prediction."""

    model: str | Path | Model = DEFAULT_MODEL
    """Bundled name, path to a safetensors file, or a loaded model."""
    slide_mpp: tuple[float, float] | None = None
    """(x, y) um per level-0 pixel; overrides what the file says."""
    roi: Region | None = None
    """Level-0 rectangle to analyse; the rest becomes 255, not analysed."""
    tissue: str = "auto"
    """auto, none, or the path of a mask image or GeoJSON file."""
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    ngff: NgffVersion = "0.5"
    """Version of OME-NGFF to write: 0.5 (zarr v3, sharded) or 0.4 (zarr v2)."""
    image_mpp: float = 4.0
    """um per pixel of the finest level of the image that is stored with the labels."""
    tile_px: int | None = None
    """Side of a tile without its halo, in label pixels; None takes the card's, or the default."""
    halo_px: int | None = None
    """Context on each side of a tile, in label pixels; None takes the card's, or the default."""
    block_px: int = 2048
    """Side of a block in label pixels: the unit of work, of resume and of storage; a multiple of 512."""
    confidence: bool = False
    """Also write the confidence of every label, as a second pyramid."""
    workers: int | None = None
    """Blocks in work at once; None fits the machine. Does not change a byte of the result."""
    trace: bool = False
    """Also write where the time went, as `<id>.trace.json` and `.png`. Moves no byte of the result."""
    overwrite: bool = False
    """Start over even where the output exists."""
