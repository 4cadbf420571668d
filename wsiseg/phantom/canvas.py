"""The arrays that a phantom is painted on, and the small windows through which structures are painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.phantom.noise import Field

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Ellipses: (n,) float32 each; positions and half-axes in um, angles in radians."""

    x_um: NDArray[np.float32]
    y_um: NDArray[np.float32]
    long_um: NDArray[np.float32]
    short_um: NDArray[np.float32]
    angle: NDArray[np.float32]
    density: NDArray[np.float32]
    """Haematoxylin concentration."""
    vesicular: NDArray[np.float32]
    """How much paler the middle is than the rim, 0 to 1."""

    def __len__(self) -> int:
        return len(self.x_um)

    def subset(self, keep: NDArray[np.bool_]) -> Nuclei:
        """Return the nuclei where `keep` (n,) is true."""
        return Nuclei(*(getattr(self, name)[keep] for name in self.__slots__))

    @staticmethod
    def join(parts: list[Nuclei]) -> Nuclei:
        """Return one set of all nuclei."""
        if not parts:
            empty = np.zeros(0, np.float32)
            return Nuclei(*(empty for _ in range(7)))
        return Nuclei(*(np.concatenate([getattr(p, name) for p in parts]) for name in Nuclei.__slots__))


class Canvas:
    """Labels (rows, columns) uint8 at `mpp` um/px, and the nuclei that were placed while labelling."""

    def __init__(self, height_px: int, width_px: int, mpp: float, ground: NDArray[np.uint8]) -> None:
        self.shape = (height_px, width_px)
        self.mpp = mpp
        self.labels = ground
        self.nuclei: list[Nuclei] = []

    def window(self, x_um: float, y_um: float, radius_um: float) -> Window | None:
        """Return the window around a circle, None where it misses the canvas."""
        first = [int(np.floor((at - radius_um) / self.mpp)) for at in (y_um, x_um)]
        last = [int(np.ceil((at + radius_um) / self.mpp)) + 1 for at in (y_um, x_um)]
        top, left = max(0, first[0]), max(0, first[1])
        bottom, right = min(self.shape[0], last[0]), min(self.shape[1], last[1])
        if top >= bottom or left >= right:
            return None
        return Window(self, slice(top, bottom), slice(left, right), x_um, y_um)

    def label_at(self, x_um: NDArray[np.float32], y_um: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the label under each point; 255 outside of the canvas."""
        rows = np.floor(y_um / self.mpp).astype(np.intp)
        columns = np.floor(x_um / self.mpp).astype(np.intp)
        inside = (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        found = np.full(len(rows), 255, np.uint8)
        found[inside] = self.labels[rows[inside], columns[inside]]
        return found


class Window:
    """A rectangle of a canvas, with coordinates about a centre."""

    def __init__(self, canvas: Canvas, rows: slice, columns: slice, x_um: float, y_um: float) -> None:
        self.rows, self.columns = rows, columns
        self.labels = canvas.labels[rows, columns]
        self.dx = ((np.arange(columns.start, columns.stop) + 0.5) * canvas.mpp - x_um).astype(np.float32)[
            None
        ]
        self.dy = ((np.arange(rows.start, rows.stop) + 0.5) * canvas.mpp - y_um).astype(np.float32)[:, None]

    def crop(self, field: Field) -> Field:
        """Return this window's part of a field of the canvas."""
        return field[self.rows, self.columns]
