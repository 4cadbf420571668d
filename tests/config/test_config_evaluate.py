"""Configs: typed, changed by --set, refused with the path of what is wrong."""

import typing
from pathlib import Path

import pytest

from wsiseg.config import EvaluateConfig, load_config
from wsiseg.datasets.catalogue import CASES, DATASETS
from wsiseg.errors import UsageError

TEXT = """
data:
  dataset: cityscapes
  root: cityscapes
model:
  checkpoint: espnet.safetensors
"""


def load(tmp_path, text=TEXT, *settings):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, settings, EvaluateConfig)


def test_settings_change_the_file(tmp_path):
    found = load(
        tmp_path, TEXT, "data.root=/elsewhere", "batch=4", "model.rename={a: b}", "data.labels=labelTrainIds"
    )
    assert found.data.root == Path("/elsewhere")
    assert (found.batch, found.model.rename, found.data.labels) == (4, {"a": "b"}, "labelTrainIds")
    assert load(tmp_path).batch == 1


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "expanduser", lambda path: Path(str(path).replace("~", "/home-of-someone")))
    assert load(tmp_path, TEXT, "data.root=~/x").data.root == Path("/home-of-someone/x")


def test_every_kind_of_data_can_be_opened():
    kinds = typing.get_args(EvaluateConfig.model_fields["data"].annotation)
    names = {typing.get_args(kind.model_fields["dataset"].annotation)[0] for kind in kinds}
    assert names == set(DATASETS) | set(CASES)
    assert not set(DATASETS) & set(CASES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.rot=x"], "unknown key data.rot"),
        (["model.weights=x"], "unknown key model.weights"),
        (["speed=9"], "unknown key speed"),
        (["data.dataset=kitti"], "data.dataset is 'kitti': expected one of 'cityscapes', 'voc'"),
        (["data.split=training"], "data.split is 'training': Input should be 'train', 'val' or 'test'"),
        (["batch=0"], "batch is 0"),
        (["batch=many"], "batch is 'many'"),
        (["model.checkpoint="], "model.checkpoint is None"),
        (["data.root"], "expected KEY=VALUE"),
        (["=3"], "expected KEY=VALUE"),
        (["data..root=3"], "expected KEY=VALUE"),
        (["batch.size=3", "batch.size.more=3"], "size is a value and has no keys"),
        (["batch=[1"], "the value is no YAML"),
        (["data.extra=[]"], "unknown key data.extra"),
        (["data={dataset: voc}"], "data.root is missing: give it in the file or with --set data.root=VALUE"),
        (["data={dataset: voc, root: r, extra: [{list: a}]}"], "data.extra.0.images is missing"),
        (["data={root: r}"], "data.dataset is missing"),
        (["data.root=~nobody-of-that-name/x"], "data.root is '~nobody-of-that-name/x'"),
        (["model.rename={off: road}"], "model.rename"),
        (["model=3"], "model is 3"),
        (["data=3"], "data is 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, settings, words):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, TEXT, *settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x\n", "alias"),
        ("data: 1\ndata: 2\n", "key data is given twice"),
        ("- 1\n", "holds a list"),
        ("", "holds a NoneType"),
        ("data: !!python/object/apply:os.system ['true']\n", "is no YAML that wsiseg reads"),
        ("data: [", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ("x: " + "a" * 1_000_001, "at most 1000000"),
        ("batch: 2001-99-99\n", "is no YAML"),
    ],
)
def test_hostile_files_are_refused(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        load(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_config(tmp_path / "absent.yaml", [], EvaluateConfig)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\x00")
    with pytest.raises(UsageError, match="is no YAML"):
        load_config(tmp_path / "binary.yaml", [], EvaluateConfig)
