"""Another slide, model or setting under the same output is told apart."""

import numpy as np
import pytest
from small_models import IntegerNetwork, integer_model

from wsiseg import PredictOptions, segment_slide
from wsiseg.class_map import TISSUE8
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region
from wsiseg.models import Model
from wsiseg.run.output import OutputPaths
from wsiseg.run.plan import make_plan
from wsiseg.run.run_record import fingerprint, local_files
from wsiseg.slides import open_slide

RGB = np.random.default_rng(2).integers(90, 220, (64, 80, 3), np.uint8)


def options(**changes):
    common = {
        "model": integer_model(),
        "slide_mpp": (1.0, 1.0),
        "tissue": "none",
        "halo_px": 48,
        "runtime": "torch",
        "precision": "fp32",
    }
    return PredictOptions(**(common | changes))


def plan_of(**changes):
    chosen = options(**changes)
    return make_plan(open_slide(RGB), chosen.model, chosen)


class _Folder:
    """What `fingerprint` asks of a slide."""

    def __init__(self, source, backend="ome-zarr"):
        self.source, self.backend = str(source), backend


def test_another_array_under_the_same_name_is_refused(tmp_path):
    segment_slide(RGB, tmp_path, options(), name="array")
    assert segment_slide(RGB, tmp_path, options(), name="array").was_finished
    with pytest.raises(UsageError, match=r"slide\.fingerprint"):
        segment_slide(RGB[::-1], tmp_path, options(), name="array")


def test_an_array_has_no_file_even_where_one_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "array").mkdir()
    segment_slide(RGB, "array", options())
    assert segment_slide(RGB, "array", options()).was_finished


def test_a_card_that_says_something_else_is_another_model():
    plain = plan_of().record["model"]
    renamed = [item.model_copy(update={"name": f"my {item.name}"}) for item in TISSUE8.classes]
    assert plan_of(model=integer_model(classes=renamed)).record["model"] != plain
    assert plan_of(model=integer_model(mean=(120, 128, 128))).record["model"] != plain
    assert plan_of(model=integer_model(scores={"miou": 0.5}, scores_note="x")).record["model"] == plain


def test_networks_that_were_never_saved_differ():
    card = integer_model(weights_sha256=None).card
    records = [plan_of(model=Model(IntegerNetwork(seed).eval(), card)).record["model"] for seed in (0, 1, 0)]
    assert records[0] == records[2] != records[1]


def test_fingerprint_of_a_folder_sees_names_sizes_and_starts(tmp_path):
    for name in ("b/c", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    first = fingerprint(_Folder(tmp_path))
    assert fingerprint(_Folder(tmp_path)) == first
    (tmp_path / "b/c").write_bytes(b"B/C")
    assert fingerprint(_Folder(tmp_path)) != first


def test_a_mirax_slide_is_its_index_and_its_folder(tmp_path):
    index, data = tmp_path / "s.mrxs", tmp_path / "s"
    index.write_bytes(b"index")
    data.mkdir()
    (data / "Data0000.dat").write_bytes(b"pixels")
    slide = _Folder(index, "openslide")
    before = fingerprint(slide)
    (data / "Data0001.dat").write_bytes(b"recovered")
    assert fingerprint(slide) != before
    with pytest.raises(UsageError, match="overlap"):
        OutputPaths.of(data, "s").check_apart_from(*local_files(slide))


def test_any_member_of_a_dicom_series_stands_for_its_folder(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"1")
    (tmp_path / "2.dcm").write_bytes(b"2")
    whole = fingerprint(_Folder(tmp_path, "dicom"))
    assert {fingerprint(_Folder(tmp_path / name, "dicom")) for name in ("1.dcm", "2.dcm")} == {whole}


def test_a_url_is_itself_and_a_file_url_is_its_files(tmp_path):
    (tmp_path / "zarr.json").write_text("{}")
    local = _Folder(tmp_path.as_uri())
    assert local_files(local) == (tmp_path,)
    assert fingerprint(local) == fingerprint(_Folder(tmp_path))
    one, same, other = (
        _Folder(f"https://example.org/{rest}") for rest in ("a/s.zarr?key=1", "a/s.zarr?key=2", "b/s.zarr")
    )
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert local_files(one) == ()


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="no plain file name"):
        OutputPaths.of(tmp_path, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_px": 24}, "must divide the block side"),
        ({"halo_px": 12}, "multiple of 8: use 16"),
        ({"model": integer_model(tile_px=40)}, "must divide the block side"),
        ({"image_mpp": float("inf")}, "at most 32"),
        ({"model": integer_model(domain="photo", mpp=None), "tissue": "mask.png"}, "no tissue rule"),
        (
            {
                "model": integer_model(domain="photo", mpp=None, input_scale=0.5),
                "slide_mpp": None,
                "tile_px": 24,
            },
            "multiple of 16: use 32",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(changes, message):
    with pytest.raises(UsageError, match=message) as refusal:
        plan_of(**changes)
    assert "\n" not in str(refusal.value)


def test_a_region_of_interest_far_larger_than_the_slide_is_the_slide():
    assert plan_of(roi=Region(-5, -5, 10**400, 10**400)).roi == Region(0, 0, 80, 64)


def test_no_tissue_at_all_is_said():
    glass = open_slide(np.full((64, 80, 3), 243, np.uint8))
    chosen = options(tissue="auto")
    assert any("no tissue was found" in text for text in make_plan(glass, chosen.model, chosen).warnings)


def test_a_header_that_claims_an_impossible_size_is_refused_before_anything_is_listed():
    class Claimed:
        shape, dtype = (10**7, 10**7, 3), np.dtype(np.uint8)

        def __getitem__(self, where):
            return np.full((*(part.stop - part.start for part in where), 3), 200, np.uint8)

    chosen = options()
    with pytest.raises(InputRefusedError, match="10000000 x 10000000 label pixels"):
        make_plan(open_slide(Claimed()), chosen.model, chosen)
