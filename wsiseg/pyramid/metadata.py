"""OME-NGFF 0.4 and 0.5 metadata of a result store: an RGB image group and its label pyramid.

Sources: the NGFF 0.4 and 0.5 specifications (multiscales, omero, labels, image-label).
"""

from __future__ import annotations

from typing import Any, Literal

from wsiseg import confidence
from wsiseg.class_map import RESERVED_NAMES, ClassMap
from wsiseg.confidence import Calibration

NgffVersion = Literal["0.5", "0.4"]
LABEL_NAME = "tissue"

Json = dict[str, Any]


def image_attributes(
    version: NgffVersion, name: str, pixel: tuple[float, float], unit: str | None, levels: int
) -> Json:
    """Return the attributes of the image group; `pixel` is (x, y) `unit` per pixel of its finest level."""
    axes = [{"name": "c", "type": "channel"}, *_space_axes(unit)]
    content: Json = {
        "multiscales": [
            _multiscale(version, name, axes, [[1.0, *scale] for scale in _scales(pixel, levels)])
        ],
        "omero": {
            "channels": [
                _channel(label, colour)
                for label, colour in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
            ],
            "rdefs": {"model": "color"},
        },
    }
    return _wrap(version, content)


def labels_attributes(version: NgffVersion) -> Json:
    """Return the attributes of the `labels` group, which lists its label images."""
    return _wrap(version, {"labels": [LABEL_NAME]})


def label_attributes(
    version: NgffVersion, classes: ClassMap, pixel: tuple[float, float], unit: str | None, levels: int
) -> Json:
    """Return the attributes of the label image: scales, names and colours of every value that it can hold."""
    names = {item.id: item.name for item in classes.classes} | RESERVED_NAMES
    table = classes.colour_table()
    image_label: Json = {
        "colors": [{"label-value": label, "rgba": list(rgba)} for label, rgba in table],
        "properties": [{"label-value": label, "name": names[label]} for label, _ in table],
        "source": {"image": "../../"},
    }
    if version == "0.4":
        image_label = {"version": version, **image_label}
    scales = _scales(pixel, levels)
    content = {
        "multiscales": [_multiscale(version, LABEL_NAME, _space_axes(unit), scales)],
        "image-label": image_label,
    }
    return _wrap(version, content)


def confidence_attributes(
    version: NgffVersion, calibration: Calibration, pixel: tuple[float, float], unit: str | None, levels: int
) -> Json:
    """Return the attributes of the confidence image: a grey image, and what its values mean."""
    name = calibration.group
    content: Json = {
        "multiscales": [_multiscale(version, name, _space_axes(unit), _scales(pixel, levels))],
        "omero": {"channels": [_channel(name, "FFFFFF")], "rdefs": {"model": "greyscale"}},
    }
    meaning = {
        "probability": f"value / {confidence.HIGHEST}, where the value is {confidence.LOWEST} or more",
        "values": {str(value): name for value, name in confidence.NAMES.items()},
        "temperature": calibration.temperature,
        "calibrated": calibration.fitted,
    }
    return {**_wrap(version, content), "wsiseg": meaning}


def _channel(label: str, colour: str) -> Json:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {"label": label, "color": colour, "active": True, "window": window}


def _space_axes(unit: str | None) -> list[Json]:
    extra = {} if unit is None else {"unit": unit}
    return [{"name": name, "type": "space", **extra} for name in ("y", "x")]


def _scales(pixel: tuple[float, float], levels: int) -> list[list[float]]:
    """Return [y, x] of each level; every level is exactly twice as coarse as the one before."""
    return [[pixel[1] * 2**level, pixel[0] * 2**level] for level in range(levels)]


def _multiscale(version: NgffVersion, name: str, axes: list[Json], scales: list[list[float]]) -> Json:
    content: Json = {
        "name": name,
        "axes": axes,
        "datasets": [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for level, scale in enumerate(scales)
        ],
    }
    return {"version": version, **content} if version == "0.4" else content


def _wrap(version: NgffVersion, content: Json) -> Json:
    return content if version == "0.4" else {"ome": {"version": version, **content}}
