"""Rings with fewer corners, within a tolerance, so that every polygon stays valid.

Douglas-Peucker (GEOS) takes each ring on its own, which is many times as fast as GEOS's method that keeps
the topology, and may let rings cross. So every polygon is checked: rings that cross are put back as they
were, and a polygon that is not valid even then is done by the slow method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOST_ROUNDS = 3
"""A ring that was put back may cross another one, which is put back in the next round."""
POLYGON = 3
"""Geometry type in shapely's numbering."""


def simplified(
    points: Points, sizes: Numbers, shapes: Numbers, tolerance: float
) -> tuple[Points, Numbers, Numbers]:
    """Return rings with fewer corners, each polygon valid and its outline within the tolerance.

    `points` (n, 2) ring after ring, `sizes` points per ring, `shapes` the polygon of each ring from 0 up, its
    exterior first. The result is the same three. A ring too small to be simplified stays as it is.
    """
    import shapely

    ends = np.cumsum(sizes)
    closed = np.insert(points, ends, points[ends - sizes], axis=0)
    exact = shapely.linestrings(closed, indices=np.repeat(np.arange(len(sizes)), sizes + 1))
    loose = shapely.simplify(exact, tolerance, preserve_topology=False)
    collapsed = shapely.get_num_coordinates(loose) < 4
    loose[collapsed] = exact[collapsed]
    polygons = _polygons(loose, shapes)
    for number in np.flatnonzero(~shapely.is_valid(polygons)).tolist():
        mine = slice(*np.searchsorted(shapes, [number, number + 1]))
        polygons[number] = _mended(exact[mine], loose[mine], tolerance)
    _, coordinates, (ring_ends, shape_ends) = shapely.to_ragged_array(polygons)
    opened = np.delete(coordinates, ring_ends[1:] - 1, axis=0)
    return opened, np.diff(ring_ends) - 1, np.repeat(np.arange(len(polygons)), np.diff(shape_ends))


def _polygons(rings: NDArray[Any], shapes: Numbers) -> NDArray[Any]:
    """Return one polygon per shape of closed lines."""
    import shapely

    ring_ends = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(rings))])
    shape_ends = np.concatenate([[0], np.cumsum(np.bincount(shapes))])
    polygons: NDArray[Any] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, shapely.get_coordinates(rings), (ring_ends, shape_ends)
    )
    return polygons


def _mended(exact: NDArray[Any], loose: NDArray[Any], tolerance: float) -> Any:
    """Return a valid polygon of one shape's rings, simplified as far as they do not cross."""
    import shapely

    one_shape = np.zeros(len(exact), np.int64)
    rings = loose.copy()
    for _ in range(MOST_ROUNDS):
        crossing = ~shapely.is_simple(rings)
        one, other = shapely.STRtree(rings).query(rings, predicate="intersects")
        crossing[one[one != other]] = True
        rings[crossing] = exact[crossing]
        polygon = _polygons(rings, one_shape)[0]
        if shapely.is_valid(polygon):
            return polygon
    whole = _polygons(exact, one_shape)[0]
    polygon = shapely.simplify(whole, tolerance, preserve_topology=True)
    is_sound = shapely.is_valid(polygon) and shapely.get_type_id(polygon) == POLYGON
    return polygon if is_sound and not polygon.is_empty else whole  # an exact outline is right in any case
