"""Background around pixels: what of a rectangle lies beyond the slide."""

from __future__ import annotations

from wsiseg.geometry import Region
from wsiseg.slides.slide import RGB


def fill_around(pixels: RGB, region: Region, inside: Region, colour: tuple[int, int, int]) -> None:
    """Fill `pixels`, (rows, columns, 3) uint8 over `region`, outside of the rectangle `inside`, in place.

    Only there: to fill all of it and lay the inside over it takes several times as long.
    """
    if not inside.area:
        pixels[:] = colour
        return
    rows, columns = inside.slices_in(region)
    for side in (
        pixels[: rows.start],
        pixels[rows.stop :],
        pixels[rows, : columns.start],
        pixels[rows, columns.stop :],
    ):
        side[:] = colour
