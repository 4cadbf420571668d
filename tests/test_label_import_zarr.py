"""OME-Zarr labels of other programs as an import: values, names, levels, and what is refused."""

import numpy as np
import pytest
import tifffile
import zarr

from wsiseg.class_map import TISSUE8, ClassMap, LabelClass
from wsiseg.errors import InputRefusedError
from wsiseg.label_import import ImportOptions, import_annotations


def write_slide(path, width=900, height=700, mpp=0.5):
    rgb = np.random.default_rng(0).integers(120, 230, (height, width, 3), dtype=np.uint8)
    tifffile.imwrite(
        path, rgb, tile=(256, 256), photometric="rgb", resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit=3
    )
    return path


def write_labels(
    path, levels, mpp=0.5, version="0.5", properties=None, name="gland", shift=None, kind="image-label"
):
    """A label image below an image group, as a foreign program writes it."""
    root = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)

    def put(group, content):
        group.attrs.update({"ome": {"version": version, **content}} if version == "0.5" else content)

    labels = root.create_group("labels")
    put(labels, {"labels": [name]})
    group = labels.create_group(name)
    datasets = []
    for number, pixels in enumerate(levels):
        factor = levels[0].shape[-1] / pixels.shape[-1]
        transforms = [{"type": "scale", "scale": [1.0] * (pixels.ndim - 2) + [mpp * factor] * 2}]
        if shift:
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
        group.create_array(str(number), data=pixels, chunks=(1,) * (pixels.ndim - 2) + (256, 256))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"[-levels[0].ndim :]]
    about = {} if properties is None else {"properties": properties}
    put(group, {"multiscales": [{"axes": axes, "datasets": datasets, "name": name}], kind: about})
    return path


def labels_of(result):
    return zarr.open_array(str(result.store / "labels" / "tissue" / "0"), mode="r")[:]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "case.tif")


@pytest.fixture(scope="module")
def drawn():
    return np.random.default_rng(1).integers(0, 8, (35, 45)).repeat(20, 0).repeat(20, 1)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_values_arrive_exactly(slide, drawn, tmp_path, version, kind):
    source = write_labels(tmp_path / "l.zarr", [drawn.astype(kind)[None]], version=version)
    result = import_annotations(source, slide, tmp_path / "out")
    np.testing.assert_array_equal(labels_of(result), drawn)
    assert import_annotations(source, slide, tmp_path / "out").was_finished


def test_a_result_comes_back_as_it_was_and_a_change_is_noticed(slide, drawn, tmp_path):
    first = import_annotations(write_labels(tmp_path / "l.zarr", [drawn]), slide, tmp_path / "a")
    again = import_annotations(first.store, slide, tmp_path / "b")
    np.testing.assert_array_equal(labels_of(again), drawn)
    other = drawn.copy()
    other[:, :20] = 1
    changed = import_annotations(write_labels(tmp_path / "l.zarr", [other]), slide, tmp_path / "c")
    assert changed.summary["run"]["annotations"] != first.summary["run"]["annotations"]


def test_coarser_labels_take_the_nearest_pixel_and_the_level_that_fits(slide, drawn, tmp_path):
    fine, coarse = drawn, drawn[::4, ::4]
    mixed = write_labels(tmp_path / "l.zarr", [fine, np.full_like(drawn[::2, ::2], 6), coarse])
    result = import_annotations(mixed, slide, tmp_path / "a", ImportOptions(mpp=2.0))
    np.testing.assert_array_equal(labels_of(result), coarse)  # level 2 has 2 um/px
    result = import_annotations(mixed, slide, tmp_path / "b")
    np.testing.assert_array_equal(labels_of(result), fine)
    lone = write_labels(tmp_path / "c.zarr", [coarse], mpp=2.0)
    result = import_annotations(lone, slide, tmp_path / "c")
    np.testing.assert_array_equal(labels_of(result), coarse.repeat(4, 0).repeat(4, 1))


def test_names_go_through_the_class_map(slide, drawn, tmp_path):
    """10 is called Necrosis, 20 is to be ignored, 0 is nowhere said: it is not annotated."""
    pixels = np.select([drawn < 3, drawn < 6], [0, 10], 20)
    rows = [{"label-value": 10, "name": "Necrosis"}, {"label-value": 20, "name": "Pen"}]
    source = write_labels(tmp_path / "l.zarr", [pixels], properties=rows)
    classes = ClassMap(classes=tuple(item for item in TISSUE8.classes if item.id))
    options = ImportOptions(classes=classes, ignored=("pen",))
    result = import_annotations(source, slide, tmp_path / "out", options)
    np.testing.assert_array_equal(labels_of(result), np.where(pixels == 10, 7, 255))
    with pytest.raises(InputRefusedError, match=r"20 \('Pen'\) is not in the class map"):
        import_annotations(source, slide, tmp_path / "other")


def test_not_analysed_and_unread_stay_no_class(slide, drawn, tmp_path):
    pixels = drawn.astype(np.uint8)
    pixels[:100] = 255
    pixels[100:200] = 254
    result = import_annotations(write_labels(tmp_path / "l.zarr", [pixels]), slide, tmp_path / "out")
    assert (labels_of(result)[:200] == 255).all()


def test_refused_in_one_line(slide, drawn, tmp_path):
    two = write_labels(tmp_path / "two.zarr", [drawn])
    zarr.open_group(str(two / "labels"), mode="r+").attrs["ome"] = {"version": "0.5", "labels": ["a", "b"]}
    road = ClassMap(classes=(LabelClass(id=1, name="road", colour=(1, 2, 3)),))
    cases = {
        "a, b: give one": (two, ImportOptions()),
        "do not cover": (write_labels(tmp_path / "part.zarr", [drawn[:300]]), ImportOptions()),
        "of 4 x 4 level-0": (write_labels(tmp_path / "far.zarr", [drawn], mpp=2.0), ImportOptions()),
        "is shifted by": (write_labels(tmp_path / "s.zarr", [drawn], shift=[0.0, 5.0]), ImportOptions()),
        "whole numbers": (write_labels(tmp_path / "f.zarr", [drawn.astype(np.float32)]), ImportOptions()),
        "the value 2 is not": (write_labels(tmp_path / "v.zarr", [drawn]), ImportOptions(classes=road)),
    }
    for reason, (source, options) in cases.items():
        with pytest.raises(InputRefusedError, match=reason) as caught:
            import_annotations(source, slide, tmp_path / "out" / source.name, options)
        assert "\n" not in str(caught.value)
