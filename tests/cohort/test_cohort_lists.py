"""What becomes of manifests, folders and patterns; manifests are hostile."""

import shutil

import pytest

from wsiseg.cohort.entry import CohortSlide, check_id
from wsiseg.cohort.finding import find_slides
from wsiseg.cohort.manifest import LONGEST_LINE, read_manifest
from wsiseg.cohort.text import one_line, spreadsheet_cell
from wsiseg.errors import UsageError
from wsiseg.geometry import Region


def manifest(tmp_path, text, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_column_is_read(tmp_path):
    path = manifest(
        tmp_path,
        "slide,id,slide_mpp,roi,model,skip,stain,batch no\n"
        'deep/x.svs,case 1,"0.25,0.26","10,20,300,400",own.safetensors,,H&E,7\n'
        "https://host/y.zarr,,,,tissue8-demo,yes,,\n"
        "\n",
    )
    first, second = read_manifest(path)
    assert first == CohortSlide(
        id="case 1",
        source=str(tmp_path / "deep" / "x.svs"),
        slide_mpp=(0.25, 0.26),
        roi=Region(10, 20, 300, 400),
        model=str(tmp_path / "own.safetensors"),
        extra={"stain": "H&E", "batch no": "7"},
    )
    assert (second.id, second.source, second.model) == ("y", "https://host/y.zarr", "tissue8-demo")
    assert "yes" in second.skip
    assert CohortSlide.from_json(first.as_json()) == first


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_of_spreadsheets(tmp_path, delimiter):
    path = manifest(tmp_path, "\ufeffslide,id\r\nx.svs,one\r\n".replace(",", delimiter))
    assert [slide.id for slide in read_manifest(path)] == ["one"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column slide"),
        ("path\nx.svs\n", "no column slide"),
        ("slide\n", "no slide is listed"),
        ("slide,slide\nx.svs,y.svs\n", "given twice"),
        ("slide,id\n,one\n", "row 2: slide is empty"),
        ("slide\nx.svs,one\n", "row 2: 2 cells, expected 1"),
        ("slide,id\nx.svs,../../etc\n", "no plain file name"),
        ("slide,id\nx.svs,a/b\n", "no plain file name"),
        ("slide,id\nx.svs,.hidden\n", "no plain file name"),
        ("slide,id\nx.svs,a\u202eb\n", "no plain file name"),
        ("slide,id\nx.svs,Results.CSV\n", "a file of the batch"),
        ("slide,id\nx.svs,wsiseg-batch\n", "a file of the batch"),
        (f"slide,id\nx.svs,{'n' * 151}\n", "more than 150 bytes"),
        ("slide,slide_mpp\nx.svs,zero\n", "row 2: slide_mpp"),
        ("slide,slide_mpp\nx.svs,nan\n", "row 2: slide_mpp"),
        ("slide,roi\nx.svs,1\n", "row 2: roi"),
        ('slide\n"x.svs\n', "no CSV"),
        (b"slide\n\xff\xfe\n", "not UTF-8"),
        (b"slide\nx\0.svs\n", "zero bytes"),
        (b"slide\n" + b"x" * (LONGEST_LINE + 10), "a line of more than"),
        (f"slide{',x' * 300}\n", "columns"),
    ],
)
def test_bad_manifests_are_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(UsageError) as error:
        read_manifest(manifest(tmp_path, text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_manifest_without_end_is_given_up_early(tmp_path, monkeypatch):
    monkeypatch.setattr("wsiseg.cohort.manifest.MOST_SLIDES", 50)
    path = manifest(tmp_path, "slide,id\n" + "".join(f"x.svs,{n}\n" for n in range(51)))
    with pytest.raises(UsageError, match="split the manifest"):
        read_manifest(path)


@pytest.mark.parametrize("second", ["one", "ONE"])
def test_two_slides_of_one_name_are_refused(tmp_path, second):
    with pytest.raises(UsageError, match="would both be written"):
        find_slides(str(manifest(tmp_path, f"slide,id\nx.svs,one\ny.svs,{second}\n")))


def test_folder_and_pattern_list_what_looks_like_a_slide(tmp_path, slides):
    for name in ("a.tiff", "broken.svs"):
        shutil.copy(slides / name, tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.svs").write_text("x")
    (tmp_path / "old.wsiseg.ome.zarr").mkdir()
    (tmp_path / "old.wsiseg.ome.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "image.zarr").mkdir()
    (tmp_path / "image.zarr" / "zarr.json").write_text("{}")
    assert [slide.id for slide in find_slides(str(tmp_path))] == ["a", "broken", "image"]
    assert [slide.id for slide in find_slides(str(tmp_path / "*.tiff"))] == ["a"]
    assert [slide.id for slide in find_slides(str(tmp_path / "a.tiff"))] == ["a"]
    with pytest.raises(UsageError, match="no slide found"):
        find_slides(str(tmp_path / "*.ndpi"))


@pytest.mark.shared
def test_dicom_folder_is_one_slide_per_series(tmp_path, shared_data):
    import pydicom

    folder = shared_data / "slides" / "CMU-1-Small-Region-dicom"
    (one,) = find_slides(str(folder))
    assert (one.id, one.source) == ("CMU-1-Small-Region-dicom", str(folder))
    two = tmp_path / "two"
    shutil.copytree(folder, two)
    for file in folder.glob("*"):
        data = pydicom.dcmread(file)
        data.SeriesInstanceUID = "1.2.3.77"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID[:-2] + ".9"
        data.save_as(two / f"copy-{file.name}")
    found = find_slides(str(two))
    assert len(found) == 2
    assert "two-77" in {slide.id for slide in found}
    assert len({slide.source for slide in found}) == 2


@pytest.mark.parametrize("name", ["a", "fluorescence-DAPI-2-(387)", "Fall 7 ä", "x.y"])
def test_usual_names_are_ids(name):
    check_id(name, "here")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-x", "'-x"), ("+x", "'+x"), ("-3.5", "-3.5"), ("x", "x"), (-3, -3)],
)
def test_spreadsheets_run_no_text(value, expected):
    assert spreadsheet_cell(value) == expected


def test_text_becomes_one_line():
    assert one_line("a\n b\x1b[2J\tc") == "a b?[2J c"
    assert len(one_line("x" * 10_000)) < 600
