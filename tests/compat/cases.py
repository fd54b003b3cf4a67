"""The operators under test and their inputs: shared by the tests and by record_golden.py."""
from dsnet_mm.compat import install_ops

import numpy as np
import pytest
import torch
from torch import Tensor

# What mmcv's compiled operators do otherwise, or not on a CPU.
stand_ins = pytest.mark.skipif(not install_ops(), reason='mmcv has operators of its own')


def tensors(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def boxes(seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Overlapping boxes with distinct scores."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(number, 2, generator=generator) * 20
    side = torch.rand(number, 2, generator=generator) * 15 + 5
    scores = (torch.randperm(number, generator=generator) + 1) / (number + 1)
    return torch.cat([corner, corner + side], dim=1), scores


def rois() -> Tensor:
    """Regions inside, at and across the edge of a 9 x 11 map with stride 2, in two images."""
    return torch.tensor([[0, 2., 3., 12., 15.], [1, 0., 0., 21., 17.], [1, -3., 4.5, 8.25, 30.],
                         [0, 7., 7., 7.5, 8.]])


def with_gradients(function, *inputs: Tensor) -> list[Tensor]:
    """Output of a function and the gradients of its weighted sum to the floating inputs."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    output = function(*inputs)
    ramp = torch.linspace(-1, 1, output.numel()).view_as(output)
    (output * ramp).sum().backward()
    return [output.detach(), *(x.grad for x in inputs)]


def flatten(values: list[Tensor]) -> np.ndarray:
    return torch.cat([value.detach().float().flatten() for value in values]).numpy()


def run_cases() -> dict[str, list[Tensor]]:
    """Every case by name, through mmcv.ops as installed.

    Without roi_pool: mmcv compiles it for CUDA only.
    """
    from mmcv import ops
    box, score = boxes(0, 30)
    classes = torch.arange(30) % 3
    cases = {}
    for offset in (0, 1):
        cases[f'nms/offset{offset}'] = list(ops.nms(box, score, 0.4, offset=offset))
        for method in ('naive', 'linear', 'gaussian'):
            cases[f'soft_nms/{method}/offset{offset}'] = list(
                ops.soft_nms(box, score, 0.3, min_score=0.05, method=method, offset=offset))
    cases['nms/score_threshold'] = list(
        ops.nms(box, score, 0.4, score_threshold=0.5, max_num=3))
    for kind in ('nms', 'soft_nms'):
        cases[f'batched_nms/{kind}'] = list(
            ops.batched_nms(box, score, classes, dict(type=kind, iou_threshold=0.4)))

    feature, = tensors(1, (2, 1, 9, 11))
    for aligned in (True, False):
        for samples in (0, 2):
            cases[f'roi_align/aligned{aligned}/samples{samples}'] = with_gradients(
                lambda x, s=samples, a=aligned: ops.roi_align(x, rois(), (3, 2), 0.5, s, 'avg', a),
                feature)

    for groups, deform_groups, stride in ((1, 1, 1), (2, 2, 2)):
        h, w = ((4, 5), (2, 3))[stride - 1]
        image, offset, mask, weight, bias = tensors(
            2, (1, 2, 4, 5), (1, 18 * deform_groups, h, w), (1, 9 * deform_groups, h, w),
            (4, 2 // groups, 3, 3), (4, ))
        name = f'g{groups}d{deform_groups}s{stride}'
        geometry = (stride, 1, 1, groups, deform_groups)
        cases[f'deform_conv/{name}'] = with_gradients(
            lambda x, o, w, g=geometry: ops.deform_conv2d(x, o, w, *g), image, offset, weight)
        cases[f'modulated_deform_conv/{name}'] = with_gradients(
            lambda x, o, m, w, b, g=geometry: ops.modulated_deform_conv2d(x, o, m, w, b, *g),
            image, offset, mask.sigmoid(), weight, bias)
    return cases
