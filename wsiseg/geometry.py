"""Rectangles of whole pixels. Geometry is (x, y) and (width, height); arrays are (row, column)."""

from __future__ import annotations

from dataclasses import dataclass

from wsiseg.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A rectangle in one pixel frame; the variable that holds it says which (`region_l0`, ...)."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column to the right of the rectangle."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the rectangle."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels; 0 for an empty rectangle."""
        return max(0, self.width) * max(0, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), as an array has it."""
        return self.height, self.width

    def intersect(self, other: Region) -> Region:
        """Return the common rectangle; it has area 0 where there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Region(
            x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y)
        )

    def grow(self, margin_px: int) -> Region:
        """Return the rectangle with `margin_px` more on each of its four sides."""
        return Region(
            self.x - margin_px, self.y - margin_px, self.width + 2 * margin_px, self.height + 2 * margin_px
        )

    def slices_in(self, outer: Region) -> tuple[slice, slice]:
        """Return the (rows, columns) that this rectangle takes in an array over `outer`."""
        return (
            slice(self.y - outer.y, self.bottom - outer.y),
            slice(self.x - outer.x, self.right - outer.x),
        )


def ceil_div(value: int, divisor: int) -> int:
    """Return value / divisor, rounded up, in integers."""
    return -(-value // divisor)


def parse_region(text: str) -> Region:
    """Return the rectangle of "X,Y,W,H", in whole pixels. Raises UsageError for anything else."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{text[:80]}: expected X,Y,W,H in whole level-0 pixels, such as 0,0,2000,1000"
        ) from error
    return Region(x, y, width, height)
