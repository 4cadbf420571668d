"""Where corrections lie, what their store looks like, and whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsiseg.class_map import NOT_ANALYSED, UNREAD
from wsiseg.errors import InputRefusedError
from wsiseg.exports.label_store import LabelStore
from wsiseg.pyramid.levels import level_shapes
from wsiseg.pyramid.metadata import LABEL_NAME, label_attributes, labels_attributes

Json = dict[str, Any]

SUFFIX = ".wsiseg.ome.zarr"
MARK = ".corrections"
CHUNK_PX = 512
RECORD_FORMAT = 1
NOTICE = "Labels corrected by people; 255 is what they did not correct. Not for diagnostic use."


def corrections_path(result: Path) -> Path:
    """Return where the corrections of a result are kept: beside it, by its id."""
    return result.with_name(f"{result.name.removesuffix(SUFFIX)}{MARK}{SUFFIX}")


def work_folder(path: Path) -> Path:
    """Return the folder beside corrections that is there while somebody corrects."""
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}-work")


def create_empty(path: Path, result: LabelStore) -> None:
    """Write a store in which nothing is corrected: of the result's labels the shape, no pixels, no image.

    It gets its name when it is whole.
    """
    import shutil

    import zarr
    from zarr.codecs import ZstdCodec

    temporary = path.with_name(f".{path.name}.partial")
    if temporary.exists():
        shutil.rmtree(temporary)
    shapes = level_shapes(*result.shape(0))
    unit = None if result.mpp is None else "micrometer"
    root = zarr.create_group(
        str(temporary),
        zarr_format=3,
        attributes={
            "wsiseg": {
                "run": run_record(result),
                "classes": [item.model_dump(mode="json") for item in result.classes.classes],
                "unread": UNREAD,
                "not_analysed": NOT_ANALYSED,
                "notice": NOTICE,
            }
        },
    )
    about = label_attributes("0.5", result.classes, result.mpp or (1.0, 1.0), unit, len(shapes))
    del about["ome"]["image-label"]["source"]  # the image is in the result
    labels = root.create_group("labels", attributes=labels_attributes("0.5"))
    group = labels.create_group(LABEL_NAME, attributes=about)
    for level, shape in enumerate(shapes):
        group.create_array(
            str(level),
            shape=shape,
            dtype="uint8",
            chunks=(CHUNK_PX, CHUNK_PX),
            compressors=ZstdCodec(level=3),
            fill_value=NOT_ANALYSED,
            dimension_names=("y", "x"),
        )
    temporary.rename(path)


def run_record(result: LabelStore) -> Json:
    """Return what corrections say of themselves: the slide, the size of a pixel, and what was corrected."""
    return {
        "format": RECORD_FORMAT,
        "slide": result.run["slide"],
        "label_mpp": result.run.get("label_mpp"),
        "corrections": {
            "of": result.identity,
            "result": result.path.name,
            **{key: result.run[key] for key in ("model", "annotations") if key in result.run},
        },
    }


def check_fits(found: LabelStore, result: LabelStore) -> list[str]:
    """Refuse corrections that are not of this result's slide, pixels and classes; return warnings.

    Those made over another model's result of the same slide fit: they are about the slide. That is said.
    """
    said = found.run.get("corrections")
    if not isinstance(said, dict):
        raise InputRefusedError(f"{found.path}: is a result, expected corrections: move it away")
    mine, theirs = found.run["slide"], result.run["slide"]
    away = f"move {found.path.name} away, or open the result that it belongs to"
    for key in ("fingerprint", "width_px", "height_px"):
        if mine.get(key) != theirs.get(key):
            raise InputRefusedError(
                f"{found.path} holds corrections of another slide than {result.path.name} ({key} "
                f"{mine.get(key)} of {mine.get('name')!r}, {theirs.get(key)} of "
                f"{theirs.get('name')!r}): {away}"
            )
    shapes = [found.shape(level) for level in range(len(found.levels))]
    if shapes != level_shapes(*result.shape(0)) or found.factor_l0 != result.factor_l0:
        raise InputRefusedError(
            f"{found.path} has labels of {shapes[0][1]} x {shapes[0][0]} px, {result.path.name} of "
            f"{result.shape(0)[1]} x {result.shape(0)[0]}: export them (--format geojson), then {away}"
        )
    if [(item.id, item.name) for item in found.classes.classes] != [
        (item.id, item.name) for item in result.classes.classes
    ]:
        raise InputRefusedError(f"{found.path} has other classes than {result.path.name}: {away}")
    for array in found.levels:
        if (array.metadata.zarr_format, array.chunks, array.shards) != (3, (CHUNK_PX, CHUNK_PX), None):
            raise InputRefusedError(f"{found.path}: was not written by this program: {away}")
        if array.fill_value != NOT_ANALYSED:
            raise InputRefusedError(f"{found.path}: its fill value is not {NOT_ANALYSED}: {away}")
    if said.get("of") != result.identity:
        return [f"{found.path.name} was made over another result of this slide ({_maker(said)}): it is kept"]
    return []


def _maker(said: Json) -> str:
    for key in ("model", "annotations"):
        if isinstance(said.get(key), dict):
            return f"{key} {str(said[key].get('name'))[:80]}"
    return "of unknown origin"
