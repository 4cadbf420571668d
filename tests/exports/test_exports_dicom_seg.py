"""DICOM SEG: read back equal by highdicom and by pydicom, with codes; refused for another slide or size."""

import shutil

import highdicom
import numpy as np
import pydicom
import pytest
import zarr
from label_stores import PHOTO, labels_for_tests, make_store
from PIL import Image
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.exports import dicom_codes, dicom_seg
from wsiseg.exports.dicom_seg import segment_table, write_dicom_seg
from wsiseg.exports.label_store import open_label_store
from wsiseg.label_import import ImportOptions, import_annotations

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")

SMALL = "CMU-1-Small-Region"


def drawn_labels(shape=(742, 555)):
    labels = np.random.default_rng(3).integers(0, 8, (19, 14), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
    labels = np.ascontiguousarray(labels[: shape[0], : shape[1]])
    labels[100:180, 60:300] = 255
    return labels


def store_of(slide, folder):
    """Labels drawn over a real slide, at 1 um/px."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(drawn_labels()).save(folder / "labels.png")
    result = import_annotations(folder / "labels.png", slide, folder, ImportOptions(mpp=1.0))
    return open_label_store(result.store)


@pytest.fixture(scope="module")
def dicom(shared_data):
    return shared_data / "slides" / f"{SMALL}-dicom"


@pytest.fixture(scope="module")
def store(dicom, tmp_path_factory):
    return store_of(dicom, tmp_path_factory.mktemp("seg"))


@pytest.mark.shared
@pytest.mark.parametrize("level", [0, 1])
def test_read_back_equal_by_foreign_programs(store, dicom, tmp_path, level):
    done = write_dicom_seg(store, tmp_path / "s.dcm", dicom, level)
    assert (done.level, done.warnings) == (level, [])
    expected = segment_table(store)[store.levels[level][:]]
    assert len(np.unique(expected)) == 9
    seg = highdicom.seg.segread(done.path)
    np.testing.assert_array_equal(seg.get_total_pixel_matrix(combine_segments=True), expected)
    raw = pydicom.dcmread(done.path)
    assert raw.SegmentationType == "LABELMAP"
    assert raw.DimensionOrganizationType == "TILED_FULL"
    frames, across = raw.pixel_array, -(-expected.shape[1] // 512)
    for number, frame in enumerate(frames):
        top, left = 512 * (number // across), 512 * (number % across)
        part = expected[top : top + 512, left : left + 512]
        np.testing.assert_array_equal(frame[: part.shape[0], : part.shape[1]], part)
    spacing = raw.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert [float(value) for value in spacing] == pytest.approx([0.001 * 2**level] * 2, rel=1e-3)
    source = next(
        item
        for path in dicom.iterdir()
        if "VOLUME" in (item := pydicom.dcmread(path, stop_before_pixels=True)).ImageType
    )
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert raw[name].value == source[name].value
    assert raw.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    segments = {item.SegmentLabel: item for item in raw.SegmentSequence}
    assert {*segments} == {"not analysed", "unread", *(item.name for item in TISSUE8.classes)}
    assert segments["necrosis"].SegmentedPropertyTypeCodeSequence[0].CodeValue == "6574001"
    malignant = segments["malignant epithelium"].SegmentedPropertyTypeCodeSequence[0]
    assert malignant.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Malignant"
    assert segments["blood"].SegmentAlgorithmType == "MANUAL"  # these labels were drawn


@pytest.mark.shared
def test_labels_of_an_svs_go_beside_its_dicom_copy(shared_data, dicom, tmp_path):
    svs = store_of(shared_data / "slides" / f"{SMALL}.svs", tmp_path / "svs")
    done = write_dicom_seg(svs, tmp_path / "s.dcm", dicom)
    found = highdicom.seg.segread(done.path).get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(found, segment_table(svs)[svs.levels[0][:]])


@pytest.mark.shared
def test_what_a_slide_lacks_is_filled_in_and_said(shared_data, tmp_path):
    slide = shared_data / "slides" / "CMU-1-dicom-colour-lies"
    lacking = store_of(slide, tmp_path / "lies")
    done = write_dicom_seg(lacking, tmp_path / "s.dcm", slide)
    assert [line.split(": ")[0].split(" lacks ")[1].split(",")[0] for line in done.warnings] == [
        "PatientID",
        "TotalPixelMatrixOriginSequence",
        "SliceThickness",
    ]
    found = highdicom.seg.segread(done.path).get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(found, segment_table(lacking)[lacking.levels[0][:]])


@pytest.mark.shared
def test_another_slide_is_refused(store, dicom, shared_data, tmp_path):
    """Labels under the name of another patient are worse than none."""
    with pytest.raises(InputRefusedError, match="is no DICOM slide"):
        write_dicom_seg(store, tmp_path / "s.dcm", shared_data / "slides" / f"{SMALL}.svs")
    other = tmp_path / "other.wsiseg.ome.zarr"
    shutil.copytree(store.path, other)
    copy = open_label_store(other)
    for array in copy.images:  # the picture upside down: the same size, another slide
        pixels = array[:]
        zarr.open_array(str(other / array.path), mode="r+")[:] = pixels[:, ::-1]
    with pytest.raises(InputRefusedError, match="does not show"):
        write_dicom_seg(open_label_store(other), tmp_path / "s.dcm", dicom)
    assert not (tmp_path / "s.dcm").exists()


@pytest.mark.shared
def test_beyond_a_gigapixel_the_level_to_choose_is_named(store, dicom, tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_seg, "LARGEST_PX", 1_000_000)
    with pytest.raises(InputRefusedError, match="choose --level 1"):
        write_dicom_seg(store, tmp_path / "s.dcm", dicom, 0)
    assert write_dicom_seg(store, tmp_path / "s.dcm", dicom).level == 1


def test_without_a_slide_or_of_a_photo_it_is_refused(tmp_path):
    labels = labels_for_tests()
    slide = open_label_store(make_store(tmp_path / "s.wsiseg.ome.zarr", labels))
    with pytest.raises(UsageError, match="--slide"):
        write_dicom_seg(slide, tmp_path / "s.dcm", None)
    photo = open_label_store(make_store(tmp_path / "p.wsiseg.ome.zarr", labels, run=PHOTO))
    with pytest.raises(InputRefusedError, match="photo"):
        write_dicom_seg(photo, tmp_path / "s.dcm", tmp_path)


def test_codes_are_those_of_the_dictionaries():
    """Against pydicom's copy of DICOM PS3.16; the one code that is not there is SNOMED CT's Epithelium."""
    known = {
        (str(code.value), code.scheme_designator)
        for scheme in (codes.SCT, codes.DCM)
        for code in (getattr(scheme, name) for name in dir(scheme))
        if isinstance(code, Code)
    }
    used = {code for pair in dicom_codes.KNOWN.values() for code in pair} | set(
        dicom_codes.MODIFIERS.values()
    )
    used |= {dicom_codes.ARTIFICIAL_INTELLIGENCE, dicom_codes.SPATIAL, dicom_codes.TISSUE}
    assert {code for code in used if (code.value, code.scheme) not in known} == {dicom_codes.EPITHELIUM}


def test_private_codes_fit_and_differ():
    found = [dicom_codes.private(item.name) for item in TISSUE8.classes]
    found += [dicom_codes.private(text) for text in ("é", "", "x" * 90, "x" * 91)]
    assert len({code.value for code in found}) == len(found)
    assert all(0 < len(code.value) <= 16 and code.scheme == "99WSISEG" for code in found)
