"""A run over what a user has drawn: a rectangle is a region of interest, a polygon cuts it further."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from wsiseg.annotations.annotation import Annotation, Ring
from wsiseg.annotations.rasterise import inside_of
from wsiseg.errors import UsageError
from wsiseg.geometry import Region
from wsiseg.run.plan import RunPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedPlan(RunPlan):
    """A run whose pixels outside of a polygon are not analysed (255)."""

    outline: Annotation

    def inside(self, region: Region) -> NDArray[np.bool_] | None:
        """Return which pixel centres of a rectangle of the label map lie inside; None where all do."""
        inside = inside_of(self.outline, region, self.frame.factor_l0)
        within_roi = RunPlan.inside(self, region)  # no super(): a class with slots is made twice
        if within_roi is not None:
            inside &= within_roi
        return None if inside.all() else inside


def ring_of(points: Sequence[tuple[float, float]]) -> Ring:
    """Return a drawn outline, (x, y) in level-0 pixels. Raises UsageError where it encloses nothing."""
    ring = np.asarray(points, np.float64).reshape(-1, 2)
    if len(ring) < 3 or not np.isfinite(ring).all() or not np.ptp(ring, axis=0).all():
        raise UsageError("the drawn region encloses nothing: draw a rectangle or a polygon with an area")
    return ring


def bounds_of(ring: Ring) -> Region:
    """Return the whole level-0 pixels that an outline touches."""
    (left, top), (right, bottom) = ring.min(0), ring.max(0)
    x, y = math.floor(left), math.floor(top)
    return Region(x, y, math.ceil(right) - x, math.ceil(bottom) - y)


def is_rectangle(ring: Ring) -> bool:
    """Return whether an outline is a rectangle along the axes."""
    low, high = ring.min(0), ring.max(0)
    corners = {(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])}
    return len(ring) == 4 and {(x, y) for x, y in ring.tolist()} == corners


def region_name(ring: Ring) -> str:
    """Return what tells the result of a drawn region from the whole slide's, and from another region's."""
    at = bounds_of(ring)
    name = f"region-{at.x}-{at.y}-{at.width}-{at.height}"
    return name if is_rectangle(ring) else f"{name}-{_digest(ring)[:8]}"


def outlined(plan: RunPlan, ring: Ring) -> RunPlan:
    """Return the plan, cut to an outline; its record says so."""
    if is_rectangle(ring):
        return plan
    content = {item.name: getattr(plan, item.name) for item in fields(RunPlan)}
    content["record"] = {**plan.record, "outline_l0_sha256": _digest(ring)}
    return OutlinedPlan(**content, outline=Annotation("drawn", ring, (), order=0))


def _digest(ring: Ring) -> str:
    return hashlib.sha256(np.ascontiguousarray(ring, "<f8").tobytes()).hexdigest()
