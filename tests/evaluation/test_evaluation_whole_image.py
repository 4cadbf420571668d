"""Whole pictures: padding is cut off again, labels are ids, ignored truth is not scored."""

import numpy as np
import pytest
import torch
from torch import nn

from wsiseg.evaluation.phantom_rules import score_network
from wsiseg.evaluation.whole_image import score_pictures, segment_picture


class Brightness(nn.Module):
    """Says channel 0 for dark and channel 1 for bright pixels, at 1/stride of the size."""

    input_multiple = 8

    def __init__(self, output_stride=1):
        super().__init__()
        self.output_stride = output_stride
        self.shapes = []

    def forward(self, image):
        self.shapes.append(tuple(image.shape))
        mean = image.mean(dim=1, keepdim=True)
        logits = torch.cat([128 - mean, mean - 128, mean * 0 - 300], dim=1)
        return logits[:, :, :: self.output_stride, :: self.output_stride]


def picture(height, width):
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2 :] = 255
    return rgb


@pytest.mark.parametrize("size", [(16, 24), (13, 21)])
def test_labels_have_the_size_of_the_picture(size):
    network = Brightness()
    labels = segment_picture(network, lambda rgb: rgb.float(), picture(*size), (4, 7, 9))
    expected = np.where(picture(*size)[..., 0] > 0, 7, 4)
    assert np.array_equal(labels, expected)
    assert labels.dtype == np.uint8
    assert all(side % 8 == 0 for side in network.shapes[0][2:])


def test_coarse_logits_are_enlarged():
    labels = segment_picture(Brightness(8), lambda rgb: rgb.float(), picture(64, 64), (0, 1, 2))
    assert labels.shape == (64, 64)
    assert (labels[:, :24] == 0).all()
    assert (labels[:, 40:] == 1).all()


def test_only_the_classes_asked_for_compete():
    labels = segment_picture(Brightness(), lambda rgb: rgb.float(), picture(16, 16), (0, 1, 2), among=(1, 2))
    assert set(np.unique(labels)) == {1}


def test_the_mode_of_the_network_is_kept():
    network = Brightness().train()
    segment_picture(network, lambda rgb: rgb.float(), picture(16, 16), (0, 1, 2))
    assert network.training


def test_truth_outside_of_the_classes_is_ignored():
    truth = np.array([[1, 2], [0, 7]], np.uint8)
    counts = score_pictures(lambda rgb: np.full((2, 2), 1, np.uint8), [(picture(2, 2), truth)], (1, 2))
    assert counts.counts.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_the_network_gets_no_help_on_the_four_classes():
    """An answer outside of the four counts as wrong there."""
    truth = np.array([[1, 1, 3, 0]], np.uint8)
    predicted = np.array([[1, 5, 3, 3]], np.uint8)
    every, four = score_network(lambda rgb: predicted, [(picture(1, 4), truth)])
    assert four.iou == (pytest.approx(0.5), None, pytest.approx(1.0), None)
    assert every.iou[3] == pytest.approx(0.5)
