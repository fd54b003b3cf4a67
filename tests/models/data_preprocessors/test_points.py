"""Coordinates beside boxes and masks: rescaled where mm* packages define them, else refused."""
from dsnet_mm import DownsizeDetDataPreprocessor

import numpy as np
import pytest
import torch
from samples import det_sample, image


def train(scale: tuple[float, float] = (0.5, 0.25), **fields):
    """The data sample after a training step, with fields of its two objects."""
    sample = det_sample(40, 60, pad_param=np.array([2, 4, 8, 16], np.float32))
    for name, value in fields.items():
        sample.gt_instances.set_field(value, name)
    data = dict(inputs=[image(40, 60)], data_samples=[sample])
    return DownsizeDetDataPreprocessor(scale=scale)(data, True)['data_samples'][0]


@pytest.mark.parametrize('points', [
    torch.tensor([[[8., 4, 2]] * 5] * 2), torch.tensor([[[8, 4]] * 5] * 2),
    np.array([[[8., 4]] * 5] * 2)])
def test_keypoints_follow_and_their_visibility_stays(points):
    found = train(keypoints=points, keypoints_visible=torch.ones(2, 5)).gt_instances
    assert torch.equal(found.keypoints[..., :2].float(), torch.tensor([2., 2]).expand(2, 5, 2))
    assert points.shape[-1] == 2 or (found.keypoints[..., 2] == 2).all()
    assert torch.equal(found.keypoints_visible, torch.ones(2, 5))
    assert points[0, 0, 0] == 8


def test_keypoints_stay_at_test():
    sample = det_sample(40, 60)
    sample.gt_instances.keypoints = points = torch.rand(2, 5, 2)
    data = dict(inputs=[image(40, 60)], data_samples=[sample])
    found = DownsizeDetDataPreprocessor(scale=0.5)(data)['data_samples'][0]
    assert torch.equal(found.gt_instances.keypoints, points)


def test_the_padding_of_mmyolo_follows():
    np.testing.assert_allclose(train().pad_param, [1, 2, 2, 4])  # top, bottom, left, right


@pytest.mark.parametrize('points', [
    torch.rand(2, 2), torch.rand(2, 5, 2), torch.rand(2, 5, 3), np.zeros((2, 2), np.float32)])
def test_unknown_points_are_refused_by_name(points):
    with pytest.raises(ValueError, match=r"'centers' of a data sample, of shape \(2, .*points.*"
                       '_rescale_ground_truth'):
        train(centers=points)


@pytest.mark.parametrize('other', [
    torch.rand(2), torch.rand(2, 80), torch.ones(2, 2, dtype=torch.long), ['a', 'b'],
    torch.ones(2, 5, 2, dtype=torch.bool)])
def test_what_is_no_points_stays(other):
    assert str(train(other=other).gt_instances.other) == str(other)
