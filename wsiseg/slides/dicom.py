"""DICOM whole-slide series, through OpenSlide; files whose header lies about their colours are put right."""

from __future__ import annotations

from pathlib import Path

from wsiseg.errors import SlideRefusedError
from wsiseg.slides.dicom_files import Colours, Instance, colours_of, find_series
from wsiseg.slides.openslide_backend import OpenSlideSlide
from wsiseg.slides.slide import RGB
from wsiseg.slides.tile_codecs import ycbcr_to_rgb


class DicomSlide(OpenSlideSlide):
    """One series, opened by its folder or by any of its files.

    OpenSlide believes PhotometricInterpretation; the JPEG frames know better. Where the header says RGB
    and the frames are YCbCr, what OpenSlide returns is converted. Where it is the other way round the
    colours are lost, and where nothing tells they are unknown: SlideRefusedError.
    """

    backend = "dicom"

    def __init__(self, path: str | Path) -> None:
        given = Path(path)
        series = find_series(given)
        levels = [item for item in series if item.volume]
        if not levels:
            raise SlideRefusedError(
                f"{given.name}: a DICOM series without a VOLUME image: expected the slide itself"
            )
        lying = _lying_sizes(given.name, levels)
        super().__init__(levels[0].path)
        folder = (given if given.is_dir() else given.parent).absolute()
        self.source, self.name = str(path), folder.name
        self._given = given
        self._ycbcr_levels = {
            index for index, level in enumerate(self.levels) if (level.width_px, level.height_px) in lying
        }
        if self._ycbcr_levels:
            self.warnings = (
                f"the DICOM header says RGB, but the JPEG frames of {len(self._ycbcr_levels)} of "
                f"{len(self.levels)} levels are YCbCr: converted",
            )

    def reopen(self) -> DicomSlide:
        """See `Slide.reopen`."""
        return type(self)(self._given)

    def _true_colours(self, level: int, rgb: RGB) -> RGB:
        return ycbcr_to_rgb(rgb) if level in self._ycbcr_levels else rgb


def _lying_sizes(name: str, levels: list[Instance]) -> set[tuple[int, int]]:
    """Return the sizes of the levels whose header says RGB while the frames are YCbCr."""
    found: dict[Instance, Colours | None] = {item: colours_of(item) for item in levels if item.jpeg}
    known = set(found.values()) - {None}
    lying, honest = set(), set()
    for item, own in found.items():
        # A small level may show no glass: the others of its series speak for it where they agree.
        truth = own or (next(iter(known)) if len(known) == 1 else None)
        said = "RGB" if item.photometric == "RGB" else "YCbCr"
        if truth is None:
            raise SlideRefusedError(
                f"{name}: {item.path.name}: the header says {item.photometric}, the JPEG frames do not say "
                "what they are, and no glass shows it: its colours cannot be known"
            )
        if said == "RGB" and truth == "YCbCr":
            lying.add(item.size)
        elif said == truth:
            honest.add(item.size)
        else:
            raise SlideRefusedError(
                f"{name}: {item.path.name}: the header says {item.photometric}, but the JPEG frames are "
                f"{truth}: correct PhotometricInterpretation in the file"
            )
    if lying & honest:
        raise SlideRefusedError(
            f"{name}: some files of one level say RGB and hold YCbCr, others are right: "
            "its colours cannot be told apart"
        )
    return lying
