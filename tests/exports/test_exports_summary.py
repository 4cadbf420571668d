import json
import subprocess
import sys

import pytest

from wsiseg.class_map import TISSUE8, ClassMap, LabelClass
from wsiseg.exports.summary import composition, ratios, total_counts, write_json


def test_json_is_whole_and_leaves_nothing_beside_it(tmp_path):
    killed = "import os, sys; from pathlib import Path; from wsiseg.whole_files import appears_whole\n"
    killed += "with appears_whole(Path(sys.argv[1])) as file: file.write_text('{'), os._exit(9)"
    target = str(tmp_path / "s.summary.json")
    assert subprocess.run([sys.executable, "-c", killed, target], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    content = {"slide": "größe-\udcff.svs", "um": "µm"}
    write_json(tmp_path / "s.summary.json", content)
    assert [item.name for item in tmp_path.iterdir()] == ["s.summary.json"]
    assert json.loads((tmp_path / "s.summary.json").read_text(encoding="utf-8")) == content
    with pytest.raises(TypeError):
        write_json(tmp_path / "s.summary.json", {"slide": object()})
    assert json.loads((tmp_path / "s.summary.json").read_text(encoding="utf-8")) == content
    assert len(list(tmp_path.iterdir())) == 1


def test_percentages_leave_out_background_unread_and_what_was_not_looked_at():
    fresh = {"predicted": {0: 50, 1: 30}, "no_tissue": 5, "unread": 20, "not_analysed": 7}
    from_journal = {"predicted": {"1": 30, "3": 40}, "no_tissue": 1, "unread": 0, "not_analysed": 0}
    areas, rows, unread_share = composition(TISSUE8, total_counts([fresh, from_journal]), 0.5)
    percent = {row["name"]: row["percent"] for row in rows}
    assert percent["background"] is None
    assert percent["benign epithelium"] == 60
    assert percent["normal stroma"] == 40
    assert areas == {"unit": "mm2", "predicted": 75, "no_tissue": 3, "unread": 10, "not_analysed": 3.5}
    assert unread_share == pytest.approx(20 / 170)


def test_ratios_are_of_what_is_there_and_not_made_up():
    assert ratios(TISSUE8, {0: 99, 1: 10, 2: 20, 3: 40, 4: 20, 7: 10}) == {
        "epithelium_to_stroma": 0.5,
        "necrosis_percent": 10.0,
    }
    nothing = {"epithelium_to_stroma": None, "necrosis_percent": None}
    assert ratios(TISSUE8, {}) == nothing
    assert ratios(TISSUE8, {1: 5}) == {"epithelium_to_stroma": None, "necrosis_percent": 0.0}
    street = ClassMap(classes=(LabelClass(id=0, name="road", colour=(1, 2, 3)),))
    assert ratios(street, {0: 1}) == nothing
