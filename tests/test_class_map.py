import pytest

from wsiseg.class_map import TISSUE8, read_class_map
from wsiseg.errors import UsageError

GOOD = """
classes:
  - {id: 0, name: glass, colour: [255, 255, 255], background: true}
  - {id: 7, name: tumour, colour: [200, 0, 0], annotation_names: [Tumor]}
"""


def test_a_class_map_is_read_from_yaml(tmp_path):
    (tmp_path / "classes.yaml").write_text(GOOD)
    classes = read_class_map(tmp_path / "classes.yaml")
    assert classes.ids == (0, 7)
    assert classes.by_id(7).annotation_names == ("Tumor",)
    with pytest.raises(KeyError):
        classes.by_id(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("id: 7", "id: 254"), "classes.1.id"),
        (GOOD.replace("id: 7", "id: 0"), "class id 0 is given more than once"),
        (GOOD.replace("colour: [200, 0, 0]", "color: red"), "classes.1.colour"),
        ("classes: !!python/object/apply:os.getcwd []", "cannot be read as a class map"),
        ("[" * 100_000, "cannot be read as a class map"),
        ("a string", "classes.yaml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(UsageError) as refusal:
        read_class_map(tmp_path / "classes.yaml")
    assert message in str(refusal.value)


def test_colours_cover_the_reserved_ids():
    table = dict(TISSUE8.colour_table())
    assert table[254] == (255, 0, 255, 255)
    assert table[255][3] == 0
    assert len(table) == 10
