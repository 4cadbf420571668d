"""The slide that speed is measured on: the encoded tiles of a real one, repeated, or of a phantom."""

from __future__ import annotations

from pathlib import Path

from wsiseg.geometry import Region
from wsiseg.phantom.repeated import repeat_tiles
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.slides import open_slide


class Source:
    """A JPEG-tiled slide whose tiles are repeated; without one, a phantom is drawn into the folder."""

    def __init__(self, slide: Path | None, folder: Path) -> None:
        self.path = slide or folder / "phantom.tiff"
        self.folder = folder
        if slide is None:
            write_phantom_slide(self.path, seed=1, width_px=2048, height_px=2048, mpp=0.5)
        with open_slide(self.path) as opened:
            if opened.mpp is None:
                raise SystemExit(f"{self.path.name} does not say its resolution: give a slide that does")
            self.mpp = opened.mpp[0]

    def step(self, label_mpp: float) -> int:
        """Return level-0 pixels per label pixel, as a whole number."""
        return max(1, round(label_mpp / self.mpp))

    def side_px(self, label_megapixels: float, label_mpp: float) -> int:
        """Return the level-0 side of a square slide whose label map has about so many megapixels."""
        return round((label_megapixels * 1e6) ** 0.5) // 8 * 8 * self.step(label_mpp)

    def repeated(self, side_px: int, name: str = "repeated.tiff", tissue: Region | None = None) -> Path:
        """Write a square slide of this side, with glass outside of `tissue`, and return its path."""
        slide = self.folder / name
        repeat_tiles(self.path, slide, side_px, side_px, tissue=tissue)
        return slide
