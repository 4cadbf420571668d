"""Read what OME-Zarr metadata say about one image. They are hostile: everything is checked before it is used.

NGFF 0.4 (https://ngff.openmicroscopy.org/0.4) has its keys in the group's attributes, 0.5 below `ome`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wsiseg.errors import SlideRefusedError
from wsiseg.slides.physical import UNIT_UM

MAX_LEVELS = 64
_AXES = frozenset("tczyx")
_RGB = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """One multiscale image."""

    axes: tuple[str, ...]
    """Names in the arrays' order: x and y, perhaps t, c, z."""
    paths: tuple[str, ...]
    """Of the arrays, below the group; finest first."""
    mpp: tuple[float, float] | None
    downsamples: tuple[float | None, ...]
    """Of each level against level 0, as the scales say; None where they say nothing."""
    warnings: tuple[str, ...]


def ome_attributes(name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME part of a group's attributes; SlideRefusedError for our own results and for labels."""
    if "wsiseg" in attributes:
        raise SlideRefusedError(
            f"{name}: a result of wsiseg, expected a slide: give the slide that it was made from"
        )
    nested = attributes.get("ome")
    ome: Mapping[str, Any] = nested if isinstance(nested, Mapping) else attributes
    if "image-label" in ome:
        raise SlideRefusedError(f"{name}: a label image, expected a slide: give the image that it belongs to")
    if "plate" in ome or "well" in ome:
        raise SlideRefusedError(f"{name}: a well plate, expected a slide: give one image of it")
    return ome


def safe_path(name: str, path: Any) -> str:
    """Return a relative path below the group; SlideRefusedError for one that would leave it."""
    if not isinstance(path, str) or not path or len(path) > 200:
        raise SlideRefusedError(
            f"{name}: the metadata give the path {path!r:.80}: expected the name of an array"
        )
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(mark in path for mark in ("\\", ":", "\0")):
        raise SlideRefusedError(f"{name}: the metadata give the path {path!r}: expected one inside the store")
    return path


def read_image(name: str, ome: Mapping[str, Any]) -> ImageMetadata:
    """Return the first multiscale image of a group; SlideRefusedError where it is none or is not RGB."""
    image, axes, units, datasets, paths = _multiscale(name, ome)
    _check_colours(name, ome.get("omero"))
    mpp, warnings = _mpp(axes, units, datasets[0], image)
    scales = [_scale(item, axes.index("x"), len(axes)) for item in datasets]
    downsamples = tuple(scale / scales[0] if scale and scales[0] else None for scale in scales)
    return ImageMetadata(axes, paths, mpp, downsamples, warnings)


def multiscale_of(
    name: str, ome: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[float, float] | None]:
    """Return axes, paths of the levels and (x, y) um per pixel of the first, of an image or of labels.

    Raises SlideRefusedError for damaged metadata, and for levels that are shifted against the whole.
    """
    image, axes, units, datasets, paths = _multiscale(name, ome)
    for owner in (image, datasets[0]):
        transforms = owner.get("coordinateTransformations")
        for item in transforms if isinstance(transforms, list) else []:
            shift = item.get("translation") if isinstance(item, Mapping) else None
            if isinstance(shift, list) and any(shift):
                raise SlideRefusedError(
                    f"{name}: is shifted by {shift!r:.60}: expected labels from the slide's corner on"
                )
    return axes, paths, _mpp(axes, units, datasets[0], image)[0]


def _multiscale(
    name: str, ome: Mapping[str, Any]
) -> tuple[Mapping[str, Any], tuple[str, ...], dict[str, Any], list[Mapping[str, Any]], tuple[str, ...]]:
    multiscales = ome.get("multiscales")
    if not isinstance(multiscales, list) or not multiscales or not isinstance(multiscales[0], Mapping):
        raise SlideRefusedError(f"{name}: Zarr without `multiscales` metadata: expected OME-Zarr 0.4 or 0.5")
    image: Mapping[str, Any] = multiscales[0]
    axes, units = _axes(name, image.get("axes"))
    datasets = image.get("datasets")
    if not isinstance(datasets, list) or not 0 < len(datasets) <= MAX_LEVELS:
        raise SlideRefusedError(
            f"{name}: `datasets` in the metadata: expected a list of 1 to {MAX_LEVELS} levels"
        )
    if not all(isinstance(item, Mapping) for item in datasets):
        raise SlideRefusedError(f"{name}: `datasets` in the metadata: expected objects with a path")
    paths = tuple(safe_path(name, item.get("path")) for item in datasets)
    if len(set(paths)) != len(paths):
        raise SlideRefusedError(f"{name}: `datasets` name one array twice: expected one array per level")
    return image, axes, units, datasets, paths


def _axes(name: str, found: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    items = found if isinstance(found, list) else []
    named = [item if isinstance(item, Mapping) else {"name": item} for item in items]
    names = tuple(str(item.get("name", "")).lower() for item in named)
    if not {"x", "y"} <= set(names) <= _AXES or len(set(names)) != len(names):
        raise SlideRefusedError(
            f"{name}: axes {list(names)!r:.100}: expected x and y, perhaps t, c, z, each once"
        )
    return names, {axis: item.get("unit") for axis, item in zip(names, named, strict=True)}


def _check_colours(name: str, omero: Any) -> None:
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, list):
        return
    colours = tuple(str(item.get("color", "")).upper() for item in channels if isinstance(item, Mapping))
    if any(colours) and colours != _RGB:
        raise SlideRefusedError(
            f"{name}: channels coloured {', '.join(colours)[:100]}: expected FF0000, 00FF00, 0000FF, "
            "which is RGB (fluorescence channels are no brightfield picture)"
        )


def _mpp(
    axes: tuple[str, ...], units: Mapping[str, Any], dataset: Mapping[str, Any], image: Mapping[str, Any]
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    values = []
    for axis in "xy":
        index = axes.index(axis)
        scale = _scale(dataset, index, len(axes))
        whole = _scale(image, index, len(axes))
        unit = units.get(axis)
        if unit is None:
            return None, (f"axis {axis} has no unit: the pixel size is unknown",)
        if not isinstance(unit, str) or unit not in UNIT_UM:
            return None, (f"axis {axis} has the unit {unit!r:.40}: the pixel size is unknown",)
        if scale is None:
            return None, ("level 0 has no usable scale: the pixel size is unknown",)
        values.append(scale * (1.0 if whole is None else whole) * UNIT_UM[unit])
    return (values[0], values[1]), ()


def _scale(owner: Mapping[str, Any], index: int, count: int) -> float | None:
    transforms = owner.get("coordinateTransformations")
    for item in transforms if isinstance(transforms, list) else []:
        if isinstance(item, Mapping) and item.get("type") == "scale":
            scale = item.get("scale")
            if isinstance(scale, list) and len(scale) == count and isinstance(scale[index], int | float):
                value = float(scale[index])
                return value if math.isfinite(value) and value > 0 else None
    return None
