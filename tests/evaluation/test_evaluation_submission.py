"""Files for the servers of Cityscapes and PASCAL VOC."""

import io

import numpy as np
import official_layouts as made
import pytest
from PIL import Image

from wsiseg.datasets.cityscapes import open_cityscapes
from wsiseg.datasets.cityscapes_classes import LABEL_IDS
from wsiseg.datasets.image_folder import open_image_folder
from wsiseg.datasets.voc import open_voc
from wsiseg.datasets.voc_classes import voc_colour
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.evaluation.submission import SubmissionWriter, cityscapes_file


def test_cityscapes_wants_label_ids_at_full_size(tmp_path):
    pictures = open_cityscapes(made.cityscapes(tmp_path / "data", "test"), "test")
    writer = SubmissionWriter(tmp_path / "out", pictures)
    writer.prepare()
    labels = made.blocks(0, list(range(19)), (1024, 2048), 64)
    path = writer.write(made.CITIES[0], labels)
    assert path.relative_to(tmp_path / "out").as_posix() == (
        "cityscapes/test/aachen_000000_000019_pred_labelIds.png"
    )
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("L", (2048, 1024))
        assert np.array_equal(np.asarray(image), np.asarray(LABEL_IDS, np.uint8)[labels])
    with pytest.raises(InputRefusedError, match=r"is 64 x 48 px; .* 2048 x 1024"):
        writer.write(made.CITIES[0], labels[:48, :64])
    with pytest.raises(ValueError, match="holds label 19"):
        cityscapes_file(np.full((1024, 2048), 19, np.uint8), "x")


def test_voc_wants_palette_images(tmp_path):
    pictures = open_voc(made.voc(tmp_path / "data"))
    writer = SubmissionWriter(tmp_path / "out", pictures)
    folder = writer.prepare()
    assert folder.relative_to(tmp_path / "out").as_posix() == "results/VOC2012/Segmentation/comp6_val_cls"
    labels = made.blocks(0, list(range(21)))
    path = writer.write(made.VOC_NAMES[0], labels)
    assert path.name == f"{made.VOC_NAMES[0]}.png"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), labels)
        colours = np.asarray(image.convert("RGB"))
    assert tuple(colours[0, 0]) == voc_colour(int(labels[0, 0]))


def test_a_submission_holds_one_split(tmp_path):
    writer = SubmissionWriter(tmp_path / "out", open_voc(made.voc(tmp_path / "data")))
    folder = writer.prepare()
    writer.write(made.VOC_NAMES[0], np.zeros((4, 4), np.uint8))
    writer.prepare()
    (folder / "2011_000001.png").touch()
    with pytest.raises(UsageError, match=r"holds 2011_000001.png, which is not of this split"):
        writer.prepare()


def test_other_data_has_no_server(tmp_path):
    with pytest.raises(UsageError, match="unknown server 'image-folder': expected one of cityscapes, voc"):
        SubmissionWriter(tmp_path / "out", open_image_folder(made.folder(tmp_path / "data")))
