"""What an untiled TIFF says about the one picture in it. Reads headers, never pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from wsiseg.errors import SlideRefusedError
from wsiseg.shortage import blame_no_input
from wsiseg.slides.base import one_line
from wsiseg.slides.tiff_layout import physical_size
from wsiseg.slides.tile_codecs import PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What an untiled TIFF says about its first picture."""

    width_px: int
    height_px: int
    samples: int
    mpp: tuple[float, float] | None


def read_picture_header(path: Path) -> PictureHeader:
    """Read the header of a TIFF that is one plain picture; SlideRefusedError where it is none of 8 bits."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            if page.bitspersample not in (1, 8) or page.sampleformat not in (None, 1):
                raise SlideRefusedError(
                    f"{path.name}: a TIFF of {page.bitspersample} bits: expected 8 per channel"
                )
            if page.samplesperpixel not in (1, 3, 4) or page.planarconfig != 1 or page.imagedepth != 1:
                raise SlideRefusedError(
                    f"{path.name}: a TIFF of {page.samplesperpixel} samples, planar configuration "
                    f"{page.planarconfig}: expected interleaved RGB or grey"
                )
            if int(page.photometric) not in (1, PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR):
                raise SlideRefusedError(
                    f"{path.name}: a TIFF of photometric {page.photometric}: expected RGB"
                )
            mpp, _, _ = physical_size(tiff, page, str(page.description or ""), aperio=False)
            return PictureHeader(int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel), mpp)
    except SlideRefusedError:
        raise
    except Exception as error:  # a damaged header can fail anywhere in the parser
        blame_no_input(error)
        raise SlideRefusedError(f"{path.name}: not a readable TIFF: {one_line(error)}") from error
