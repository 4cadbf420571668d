"""Each format as its program writes it, and files that mean harm."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image

from wsiseg.annotations import annotation, geojson, label_image
from wsiseg.annotations.annotation import ring_area
from wsiseg.annotations.rasterise import AnnotationLayer
from wsiseg.annotations.reading import FORMATS, annotation_format, read_annotations
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.geometry import Region

SQUARE = [[10, 20], [30, 20], [30, 40], [10, 40], [10, 20]]
HOLE = [[15, 25], [20, 25], [20, 30], [15, 30], [15, 25]]


def feature(geometry, classification=None, **properties):
    if classification is not None:
        properties["classification"] = classification
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def write_geojson(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def test_qupath_geojson(tmp_path):
    path = write_geojson(
        tmp_path / "a.geojson",
        feature(polygon(SQUARE, HOLE), {"name": "Tumor", "color": [200, 0, 0]}, objectType="annotation"),
        feature({"type": "MultiPolygon", "coordinates": [[SQUARE], [HOLE]]}, {"names": ["Stroma", "Pos"]}),
        feature({"type": "Point", "coordinates": [1, 2]}, {"name": "Tumor"}),
        feature({"type": "GeometryCollection", "geometries": [polygon(SQUARE)]}),
        feature(polygon([[x, y, 0] for x, y in HOLE]), name="by hand"),
    )
    said = []
    found = read_annotations(path, warn=said.append)
    assert [item.name for item in found] == ["Tumor", "Stroma: Pos", "Stroma: Pos", "Unclassified", "by hand"]
    assert [item.order for item in found] == [0, 1, 1, 3, 4]
    assert sorted(found[0].exterior.tolist()) == sorted(SQUARE[:4])
    assert abs(ring_area(found[0].exterior)) == 400
    assert abs(ring_area(found[0].holes[0])) == 25
    assert said == ["a.geojson: left out, as they are no areas: 1 Point"]
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    again = read_annotations(packed, warn=said.append)
    assert [item.name for item in again] == [item.name for item in found]


def test_crossing_and_empty_outlines_are_said_in_one_line_each(tmp_path):
    bow = [[0, 0], [9, 9], [9, 0], [0, 9]]
    line = [[0, 0], [9, 9], [0, 0]]
    path = write_geojson(tmp_path / "a.geojson", feature(polygon(bow)), feature(polygon(line)))
    said = []
    read_annotations(path, warn=said.append)
    assert len(said) == 2
    assert "cross themselves" in said[0]
    assert "enclose nothing" in said[1]


ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
<Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
<Coordinate Order="2" X="30" Y="40" /><Coordinate Order="0" X="10" Y="20" />
<Coordinate Order="1" X="30" Y="20" /><Coordinate Order="3" X="10" Y="40" />
</Coordinates></Annotation>
<Annotation Name="gland" Type="Spline" PartOfGroup="None" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="1.5" Y="1" /><Coordinate Order="1" X="5" Y="1" /><Coordinate Order="2" X="5" Y="9" />
</Coordinates></Annotation>
<Annotation Name="p" Type="Dot" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="1" Y="1" /></Coordinates></Annotation>
</Annotations><AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#00ff00"><Attributes />
</Group></AnnotationGroups></ASAP_Annotations>"""


def test_asap(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(ASAP)
    said = []
    tumour, gland = read_annotations(path, warn=said.append)
    assert (tumour.name, abs(ring_area(tumour.exterior))) == ("Tumor", 400)
    assert (gland.name, abs(ring_area(gland.exterior))) == ("gland", 14)
    assert said == ["a.xml: left out, as they are no areas: 1 Dot"]


def region(points, kind=0, negative=0, text=""):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0" />' for x, y in points)
    return (
        f'<Region Id="1" Type="{kind}" Text="{text}" NegativeROA="{negative}"><Attributes />'
        f"<Vertices>{vertices}</Vertices></Region>"
    )


def layer(*regions, name="", description=""):
    return (
        f'<Annotation Id="1" Name="{name}" LineColor="65280"><Attributes>'
        f'<Attribute Name="Description" Id="0" Value="{description}" /></Attributes>'
        f"<Regions><RegionAttributeHeaders />{''.join(regions)}</Regions><Plots /></Annotation>"
    )


def test_imagescope(tmp_path):
    path = tmp_path / "a.xml"
    text = '<?xml version="1.0"?><Annotations MicronsPerPixel="0.25">'
    text += layer(region(SQUARE), region(HOLE, negative=1), region(HOLE, kind=4), name="Tumor")
    text += layer(region([(50, 50), (60, 70)], kind=1), description="Stroma")
    text += layer(region([(100, 50), (120, 70)], kind=2, text="Blood"))
    text += layer(region(HOLE, negative=1), name="lonely")
    path.write_text(f"{text}</Annotations>", encoding="utf-16")  # ImageScope may write it so
    said = []
    found = read_annotations(path, warn=said.append)
    assert [item.name for item in found] == ["Tumor", "Stroma", "Blood"]
    assert abs(ring_area(found[1].exterior)) == 200
    assert abs(ring_area(found[2].exterior)) == pytest.approx(100 * np.pi, rel=1e-3)
    labels = AnnotationLayer(found, [1, 2, 3]).rasterise(Region(0, 0, 130, 80))
    assert (labels == 1).sum() == 400 - 25
    assert any("1 region of type 4" in line for line in said)
    assert any("1 negative regions" in line for line in said)


@pytest.mark.parametrize("kind", ["L", "P", "RGB"])
def test_label_image_round_trip_at_half_the_resolution(tmp_path, kind):
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, (15, 20), dtype=np.uint8).repeat(3, 0).repeat(3, 1)
    labels[:5] = 255
    image = Image.fromarray(labels)
    if kind == "RGB":
        image = Image.fromarray(np.repeat(labels[..., None], 3, 2))
    elif kind == "P":
        image = Image.frombytes("P", image.size, labels.tobytes())
        image.putpalette(bytes(random.integers(0, 256, 768, dtype=np.uint8)))
    image.save(tmp_path / "a.png")
    found = read_annotations(tmp_path / "a.png", size_l0=(119, 90))
    assert {item.label for item in found} == {0, 1, 2, 3}
    drawn = AnnotationLayer(found, [item.label for item in found]).rasterise(Region(0, 0, 60, 45), (2, 2))
    np.testing.assert_array_equal(drawn, labels)
    with pytest.raises(InputRefusedError, match="aspect"):
        read_annotations(tmp_path / "a.png", size_l0=(100, 200))


def test_label_images_that_are_none(tmp_path, monkeypatch):
    colours = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    with pytest.raises(InputRefusedError, match="colours are no labels"):
        read_annotations(tmp_path / "colour.png")
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(InputRefusedError, match="holds no area"):
        read_annotations(tmp_path / "empty.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "colour.png").read_bytes()[:60])
    with pytest.raises(InputRefusedError, match="cannot be read"):
        read_annotations(tmp_path / "torn.png")
    monkeypatch.setattr(label_image, "LARGEST_PX", 80)
    with pytest.raises(InputRefusedError, match="megapixels"):
        read_annotations(tmp_path / "empty.png")


def ring_text(text):
    return f'{{"type": "Polygon", "coordinates": [{text}]}}'


XML_HEAD = '<?xml version="1.0"?>'
HOSTILE = {
    "nan.geojson": (ring_text("[[0, 0], [NaN, 1], [1, 1]]"), "finite"),
    "infinite.geojson": (ring_text("[[0, 0], [1e999, 1], [1, 1]]"), "not finite"),
    "whole.geojson": (ring_text(f"[[0, 0], [{'9' * 400}, 1], [1, 1]]"), "list of"),
    "far.geojson": (ring_text("[[0, 0], [1e9, 1], [1, 1]]"), "level-0 pixels"),
    "null.geojson": (ring_text("[[0, 0], [null, 1], [1, 1]]"), r"finite|list of"),
    "words.geojson": (ring_text('["a", {"b": 1}]'), "list of"),
    "ragged.geojson": (ring_text("[[0, 0], [1], [1, 1]]"), "list of"),
    "flat.geojson": (ring_text("1, 2, 3"), "list of"),
    "deep.geojson": ("[" * 100_000 + "]" * 100_000, "cannot be read"),
    "deep-ring.geojson": (ring_text("[" * 500 + "]" * 500), "list of|holds no area"),
    "torn.geojson": ('{"type": "FeatureCollection", "features": [', "cannot be read"),
    "other.geojson": ('{"type": "Topology"}', "no GeoJSON feature"),
    "empty.geojson": ('{"type": "FeatureCollection", "features": []}', "no GeoJSON feature"),
    "many.xml": (
        XML_HEAD + '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Annotations>&b;</Annotations>',
        "document type or entities",
    ),
    "file.xml": (
        XML_HEAD + '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><Annotations>&f;</Annotations>',
        "document type or entities",
    ),
    "deep.xml": (XML_HEAD + "<ASAP_Annotations>" + "<a>" * 50_000, "nested"),
    "torn.xml": (ASAP[:400], "cannot be read as XML"),
    "comma.xml": (ASAP.replace('X="1.5"', 'X="1,5"'), "decimal point"),
    "nan.xml": (ASAP.replace('X="1.5"', 'X="nan"'), "not finite"),
    "none.xml": (XML_HEAD + "<html></html>", "no known format"),
    "text.txt": ("hello", "no known format"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_one_line(tmp_path, name):
    text, reason = HOSTILE[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputRefusedError, match=reason) as caught:
        read_annotations(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_too_much_is_refused(tmp_path, monkeypatch):
    path = write_geojson(tmp_path / "a.geojson", *[feature(polygon(SQUARE)) for _ in range(30)])
    bomb = tmp_path / "b.geojson.gz"
    bomb.write_bytes(gzip.compress(path.read_bytes()))
    with monkeypatch.context() as patch:
        patch.setattr(annotation, "MOST_POINTS", 100)
        with pytest.raises(InputRefusedError, match="more than 100 points"):
            read_annotations(path)
    monkeypatch.setattr(geojson, "LARGEST_BYTES", 1000)
    for file in (path, bomb):
        with pytest.raises(InputRefusedError, match="MB of text"):
            read_annotations(file)
    bomb.write_bytes(bomb.read_bytes()[:50])
    with pytest.raises(InputRefusedError, match="cannot be read"):
        read_annotations(bomb)


def test_formats_are_told_apart_and_their_names_listed(tmp_path):
    path = write_geojson(tmp_path / "a.json", feature(polygon(SQUARE)))
    assert annotation_format(path) == "geojson"
    assert set(FORMATS) == {"geojson", "asap", "imagescope", "label-image"}
    with pytest.raises(UsageError, match="asap, geojson, imagescope, label-image"):
        read_annotations(path, kind="ndpa")
    with pytest.raises(InputRefusedError, match="no such file"):
        read_annotations(tmp_path / "absent.xml")


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_label_images_of_more_than_8_bits(tmp_path, dtype):
    """As napari saves a labels layer; each value that fits is kept, one that does not is refused."""
    labels = np.full((12, 20), 255, dtype)
    labels[2:6, 3:9] = 4
    path = tmp_path / "labels.tif"
    Image.fromarray(labels).save(path)
    (found,) = read_annotations(path)
    drawn = AnnotationLayer([found], [found.label]).rasterise(Region(0, 0, 20, 12))
    assert np.array_equal(drawn, labels)
    labels[0, 0] = 256
    Image.fromarray(labels).save(path)
    with pytest.raises(InputRefusedError, match="values 4 to 256: expected labels from 0 to 255"):
        read_annotations(path)
    labels[0, 0] = 255
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_image, "LARGEST_PX", 4 * labels.size - 4)
        with pytest.raises(InputRefusedError, match="of more than 8 bits"):
            read_annotations(path)
