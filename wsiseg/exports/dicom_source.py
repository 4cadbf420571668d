"""The DICOM slide that a segmentation refers to: found, checked to be the same slide, and completed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import InputRefusedError
from wsiseg.exports.label_store import LabelStore
from wsiseg.geometry import Region
from wsiseg.slides import open_slide, resolve_mpp
from wsiseg.slides.dicom_files import find_series
from wsiseg.slides.slide import Slide
from wsiseg.tiling.frame import FrameReader, frame_at

MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Attributes that every DICOM image has, if only empty (type 2 in PS3.3 C.7.1 and C.7.2)."""
LEAST_LIKENESS = 0.8
"""Correlation of the brightness of two pictures of one slide; another compression or scale keeps it above."""
MOST_STRETCH = 0.01
"""Difference in extent that rounding and resampling leave between two files of one slide."""


def read_source(store: LabelStore, path: Path, level: int) -> tuple[Any, tuple[float, float], list[str]]:
    """Return the finest instance's header, mm per label pixel (rows, columns), and what it lacked.

    Raises InputRefusedError where the slide's size or picture is not that of the result: labels under
    another patient's name are worse than none.
    """
    import pydicom

    if not path.exists():
        raise InputRefusedError(f"--slide {path}: no such file or folder")
    with open_slide(path) as slide:
        if slide.backend != "dicom":
            raise InputRefusedError(
                f"--slide {path}: is no DICOM slide: convert it to DICOM first, and give that folder"
            )
        _check_same_picture(store, slide)
    volumes = [item for item in find_series(path) if item.volume]
    finest = max(volumes, key=lambda item: item.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values elsewhere in the header
        source = pydicom.dcmread(finest.path, stop_before_pixels=True)
    try:
        spacing = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        spacing_mm = _spacing_mm(store, (float(spacing[1]), float(spacing[0])), finest.size, level)
        said = complete(source)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputRefusedError(f"--slide {path}: lacks its pixel spacing or orientation: {error}") from error
    return source, spacing_mm, said


def complete(source: Any) -> list[str]:
    """Fill in, in memory, what a header must have; return one line for each thing that was assumed."""
    import pydicom

    said = []
    absent = [name for name in MAY_BE_EMPTY if name not in source]
    for name in absent:
        setattr(source, name, None if name == "PatientName" else "")
    if absent:
        said.append(f"the DICOM slide lacks {', '.join(absent)}: left empty")
    if len(source.ImageOrientationSlide) != 6:
        raise ValueError("ImageOrientationSlide")
    if "TotalPixelMatrixOriginSequence" not in source:
        origin = pydicom.Dataset()
        origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = "0"
        source.TotalPixelMatrixOriginSequence = [origin]
        said.append(
            "the DICOM slide lacks TotalPixelMatrixOriginSequence: its place on the glass is taken as 0, 0"
        )
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SliceThickness" not in measures:
        measures.SliceThickness = "0.001"
        said.append("the DICOM slide lacks SliceThickness: 0.001 mm is written")
    return said


def thickness_mm(source: Any) -> float:
    """Return the slice thickness of a completed header."""
    return float(source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness)


def _spacing_mm(
    store: LabelStore, source_mm: tuple[float, float], size: tuple[int, int], level: int
) -> tuple[float, float]:
    """Return mm between label rows and between label columns, in the frame of the DICOM slide."""
    told = store.run["slide"]
    predicted = (int(told["width_px"]), int(told["height_px"]))
    extent_mm = tuple(side * mm for side, mm in zip(size, source_mm, strict=True))
    if predicted != size and told["mpp"] is not None:
        expected = tuple(side * float(mpp) / 1000 for side, mpp in zip(predicted, told["mpp"], strict=True))
        if any(abs(a - b) > MOST_STRETCH * b for a, b in zip(extent_mm, expected, strict=True)):
            raise InputRefusedError(
                f"--slide: covers {extent_mm[0]:.3f} x {extent_mm[1]:.3f} mm, the result {expected[0]:.3f} x "
                f"{expected[1]:.3f} mm: give the DICOM files of the slide that was predicted"
            )
    per_label = [
        extent * factor * 2**level / side
        for extent, factor, side in zip(extent_mm, store.factor_l0, predicted, strict=True)
    ]
    return per_label[1], per_label[0]


def _check_same_picture(store: LabelStore, slide: Slide) -> None:
    """Compare brightness with the image that lies in the result."""
    stored = store.coarse_image()
    mpp = resolve_mpp(slide)
    frame = frame_at(slide.levels[0], mpp, mpp[0] * slide.levels[0].width_px / stored.shape[1])
    rgb = FrameReader(slide, frame, slide.background).read(Region(0, 0, frame.width_px, frame.height_px))[0]
    rows, columns = min(stored.shape[0], frame.height_px), min(stored.shape[1], frame.width_px)
    other = rgb[:rows, :columns].mean(2)
    stored = stored[:rows, :columns]
    likeness = _correlation(stored, other)
    if likeness < LEAST_LIKENESS:
        raise InputRefusedError(
            f"--slide {slide.name}: does not show what the result was made of (likeness {likeness:.2f}, "
            f"expected {LEAST_LIKENESS} or more): give the DICOM files of the slide that was predicted"
        )


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale else 0.0
