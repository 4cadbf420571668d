"""One level of the labels as DICOM Segmentation of the LABELMAP kind, tiled, beside its whole-slide image.

Segment numbers are 1, 2, ... in the order of the class map, then "unread"; value 0, which DICOM keeps for
"no segment", is what was not analysed. Frames are JPEG-LS, lossless. Patient, study, specimen and frame of
reference are those of the DICOM slide (DICOM PS3.3 A.51, C.8.20).
"""

from __future__ import annotations

import tempfile
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wsiseg import __version__
from wsiseg.class_map import NOT_ANALYSED, RESERVED_NAMES, RESERVED_RGBA, UNREAD
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports import dicom_codes
from wsiseg.exports.dicom_source import read_source, thickness_mm
from wsiseg.exports.files import NAMESPACE, whole_file
from wsiseg.exports.label_store import LabelStore

LARGEST_PX = 10**9
"""highdicom takes the whole matrix as one array: a memory map of 1 GB at this size."""
TILE_PX = 512


@dataclass(frozen=True, slots=True)
class SegResult:
    """What was written, and what the slide's own files lacked."""

    path: Path
    level: int
    warnings: list[str]


def write_dicom_seg(
    store: LabelStore, path: Path, slide: Path | None, level: int | None = None, *, overwrite: bool = False
) -> SegResult:
    """Write a segmentation of a DICOM slide; of the finest level that fits, unless one is given.

    `slide` is the DICOM series (folder or member) of the same slide: the one that was predicted, or a
    conversion of it. Raises UsageError without highdicom or a slide, InputRefusedError for a series that is
    not of this slide, and for a level of more than a gigapixel (the level to choose is named).
    """
    try:
        import highdicom
    except ImportError as error:
        raise UsageError("DICOM SEG needs highdicom: pip install 'wsiseg[dicom]'") from error
    if slide is None:
        raise UsageError("DICOM SEG lies beside a DICOM slide: say which with --slide FOLDER")
    if store.mpp is None:
        raise InputRefusedError(f"{store.path}: is of a photo: DICOM SEG is for slides")
    level = _checked_level(store, level)
    source, spacing_mm, said = read_source(store, slide, level)
    with (
        tempfile.TemporaryFile(dir=path.parent) as scratch,  # has no name: nothing is left of it
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # values of the slide's own header that pydicom finds odd
        seg = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=_segment_numbers(store, level, scratch),
            segmentation_type="LABELMAP",
            segment_descriptions=_segments(store, highdicom),
            series_instance_uid=_uid(store, "series"),
            series_number=100,
            sop_instance_uid=_uid(store, f"instance/{source.SOPInstanceUID}/{level}"),
            instance_number=1,
            manufacturer="wsiseg",
            manufacturer_model_name="wsiseg",
            software_versions=__version__,
            device_serial_number=__version__,
            content_label="TISSUE",
            content_description=f"Tissue labels, level {level}",
            transfer_syntax_uid="1.2.840.10008.1.2.4.80",
            pixel_measures=highdicom.PixelMeasuresSequence(spacing_mm, thickness_mm(source)),
            omit_empty_frames=False,
            dimension_organization_type="TILED_FULL",
            tile_pixel_array=True,
            tile_size=(TILE_PX, TILE_PX),
            use_extended_offset_table=True,
        )
        _complete_segments(seg, highdicom)
        with whole_file(path, overwrite=overwrite) as file:
            seg.save_as(file)
    return SegResult(path, level, said)


def _checked_level(store: LabelStore, level: int | None) -> int:
    sizes = [store.shape(number) for number in range(len(store.levels))]
    fits = next(number for number, (rows, columns) in enumerate(sizes) if rows * columns <= LARGEST_PX)
    if level is None:
        return fits
    store.check_level(level)
    rows, columns = sizes[level]
    if level < fits:
        raise InputRefusedError(
            f"level {level} has {columns} x {rows} px: DICOM SEG takes at most {LARGEST_PX // 10**6} "
            f"megapixels here: choose --level {fits}"
        )
    return level


def segment_table(store: LabelStore) -> NDArray[np.uint8]:
    """Return (256,) uint8: the segment number of each label value; 0 for 255."""
    table = np.zeros(256, np.uint8)
    for number, item in enumerate(store.classes.classes, 1):
        table[item.id] = number
    table[UNREAD] = len(store.classes) + 1
    return table


class _Matrix(np.memmap):
    """A memory map that is not copied to be given the type that it has; highdicom would copy a gigabyte."""

    def astype(self, dtype: Any, *arguments: Any, **named: Any) -> Any:
        """Return the map itself for its own type."""
        return self if np.dtype(dtype) == self.dtype else super().astype(dtype, *arguments, **named)


def _segment_numbers(store: LabelStore, level: int, file: IO[bytes]) -> NDArray[np.uint8]:
    """Return the level's segment numbers, (rows, columns) uint8, on the disk."""
    rows, columns = store.shape(level)
    table = segment_table(store)
    matrix = np.memmap(file, np.uint8, "w+", shape=(rows, columns))
    top = 0
    for strip in store.strips(level):
        values = table[strip]
        if ((values == 0) & (strip != NOT_ANALYSED)).any():
            raise InputRefusedError(f"{store.path}: holds labels that its class map does not have")
        matrix[top : top + len(strip)] = values
        top += len(strip)
    matrix.flush()
    return _Matrix(file, np.uint8, "r", shape=(rows, columns))


def _segments(store: LabelStore, highdicom: Any) -> list[Any]:
    drawn = "annotations" in store.run
    made_by = None
    if not drawn:
        made_by = highdicom.AlgorithmIdentificationSequence(
            name=str(store.run.get("model", {}).get("name", "unknown"))[:64],
            family=_coded(dicom_codes.ARTIFICIAL_INTELLIGENCE, highdicom),
            version=str(store.run.get("model", {}).get("weights_sha256", "unknown"))[:64],
            source="wsiseg",
        )
    rows = [
        (item.name, dicom_codes.concepts(item.name, background=item.background), item.colour)
        for item in store.classes.classes
    ]
    unread = RESERVED_NAMES[UNREAD]
    rows.append((unread, (dicom_codes.SPATIAL, dicom_codes.private(unread)), RESERVED_RGBA[UNREAD][:3]))
    return [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=_coded(category, highdicom),
            segmented_property_type=_coded(kind, highdicom),
            algorithm_type="MANUAL" if drawn else "AUTOMATIC",
            algorithm_identification=made_by,
            display_color=highdicom.color.CIELabColor.from_rgb(*colour),
        )
        for number, (name, (category, kind), colour) in enumerate(rows, 1)
    ]


def _complete_segments(seg: Any, highdicom: Any) -> None:
    """Add what highdicom has no argument for: modifiers, and what value 0 means here."""
    for segment in seg.SegmentSequence:
        if int(segment.SegmentNumber) == 0:
            segment.SegmentLabel = RESERVED_NAMES[NOT_ANALYSED]
        code = dicom_codes.MODIFIERS.get(str(segment.SegmentLabel).casefold())
        if code is not None:
            kind = segment.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [_coded(code, highdicom)]


def _coded(code: dicom_codes.Code, highdicom: Any) -> Any:
    return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _uid(store: LabelStore, what: str) -> str:
    """Return a UID made from the run (PS3.5 B.2): an export that is repeated is the same instance."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'{store.identity}/dicom-seg/{what}').int}"
