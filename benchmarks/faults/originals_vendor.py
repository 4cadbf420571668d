"""Small sound slides in formats that tifffile does not write: DICOM, and a part of a real NDPI."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import simplejpeg
import tifffile
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from wsiseg.phantom.slide_file import halved

TILE_PX = 128
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ROOT = "1.2.826.0.1.3680043.8.498.10"


def write_dicom(folder: Path, rgb: NDArray[np.uint8], mpp: float) -> Path:
    """Write a VL Whole Slide Microscopy series of three levels, JPEG in tiles; return its folder."""
    folder.mkdir(exist_ok=True)
    level = rgb
    for number in range(3):
        _instance(level, mpp * 2**number, number).save_as(folder / f"{number}.dcm", enforce_file_format=True)
        level = halved(level)
    return folder


def _instance(rgb: NDArray[np.uint8], mpp: float, number: int) -> pydicom.Dataset:
    rows, columns = -(-rgb.shape[0] // TILE_PX), -(-rgb.shape[1] // TILE_PX)
    pad = ((0, rows * TILE_PX - rgb.shape[0]), (0, columns * TILE_PX - rgb.shape[1]), (0, 0))
    whole = np.pad(rgb, pad, mode="edge")
    frames = []
    for row in range(rows):
        for column in range(columns):
            y, x = row * TILE_PX, column * TILE_PX
            tile = np.ascontiguousarray(whole[y : y + TILE_PX, x : x + TILE_PX])
            frames.append(simplejpeg.encode_jpeg(tile, quality=90, colorspace="RGB", colorsubsampling="422"))
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = WHOLE_SLIDE
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"{ROOT}.{number + 1}"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{ROOT}.101", f"{ROOT}.102"
    data.FrameOfReferenceUID, data.Modality = f"{ROOT}.103", "SM"
    data.ImageType = ["ORIGINAL" if number == 0 else "DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    if number == 0:
        data.ImageType[3] = "NONE"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "YBR_FULL_422", 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.Rows = data.Columns = TILE_PX
    data.NumberOfFrames = len(frames)
    data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns = rgb.shape[:2]
    data.TotalPixelMatrixFocalPlanes, data.NumberOfOpticalPaths = 1, 1
    data.ImagedVolumeWidth, data.ImagedVolumeHeight = (rgb.shape[1] * mpp / 1e3, rgb.shape[0] * mpp / 1e3)
    data.DimensionOrganizationType = "TILED_FULL"
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mpp / 1e3, mpp / 1e3], 0.001
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.LossyImageCompression = "01"
    data.PixelData = encapsulate(frames)
    data["PixelData"].VR = "OB"
    return data


def coarse_ndpi(source: Path, target: Path, first: int) -> Path:
    """Write an NDPI without its `first` finest levels: their bytes are cut out, and offsets behind are moved.

    Text that all levels share lies before the first level's pixels, and stays.
    """
    patched = bytearray(source.read_bytes())
    with tifffile.TiffFile(source) as tiff:
        cut_from = tiff.pages[0].tags["StripOffsets"].value[0]
        pages = list(tiff.pages)[first:]
        directories = [page.offset for page in pages]
        entries = [len(page.tags) for page in pages]
        moved = {(page.tags["StripOffsets"].offset, page.tags["StripOffsets"].value[0]) for page in pages}
        for page in pages:
            end = page.offset + 2 + 12 * len(page.tags)
            for tag in page.tags.values():
                if tag.valueoffset >= cut_from and not page.offset <= tag.valueoffset < end:
                    moved.add((tag.offset, tag.valueoffset))
    cut_to = min(*directories, *(value for _, value in moved))
    shift = cut_to - cut_from
    for entry, value in moved:
        struct.pack_into("<I", patched, entry + 8, value - shift)
    for place, count, following in zip(directories, entries, directories[1:], strict=False):
        struct.pack_into("<Q", patched, place + 2 + 12 * count, following - shift)
    struct.pack_into("<Q", patched, 4, directories[0] - shift)
    target.write_bytes(bytes(patched[:cut_from] + patched[cut_to:]))
    return target
