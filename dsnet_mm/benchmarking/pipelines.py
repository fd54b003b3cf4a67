"""Whole models behind bilinear and learned resizers, as in Table 9 of the paper."""
import copy
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dsnet_mm.benchmarking.complexity import build
from dsnet_mm.benchmarking.resizers import RESIZERS
from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.models.backbones.detail import ReadsDetail, read_detail
from dsnet_mm.registry import build_resizer

import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import nn

DETAIL = 'downsizenet-v2+detail'
NAMES = ('bilinear', 'downsizenet-2', 'downsizenet-3', 'downsizenet-4', 'downsizenet-v2', DETAIL)
MODES = ('forward', 'train')
TRAIN_BATCH = 2  # batch normalisation needs more than one value per channel

Models = dict[str, tuple[str | Path, tuple[int, int]]]


def measurements(models: Models, rounds: int) -> int:
    """The number of calls of ``done`` by :func:`measure`."""
    return (rounds + 1) * len(NAMES) * len(MODES) * len(models)


def measure(models: Models, rounds: int, threads: int, device: torch.device,
            done: Callable[[], None]) -> Iterator[list[dict]]:
    """Times each model, by name its config and the input image's size, behind each resizer.

    Mode ``forward`` is preprocessing and the network's forward pass, without decoding and
    suppression, whose time depends on the weights; ``train`` is a whole training step. A list
    yielded has the rows of one model and mode; their time is that of one image. A backbone that
    cannot read detail maps is timed without them, with a warning.
    """
    torch.set_num_threads(threads)
    for name, (path, size) in models.items():
        model, scope = build(path)
        names = NAMES if _let_read_detail(model) else [key for key in NAMES if key != DETAIL]
        resizers = {key: build_resizer(RESIZERS[key]).to(device) for key in names}
        model = model.to(device)
        for mode in MODES:
            batch = _batch(scope, size, TRAIN_BATCH if mode == 'train' else 1)
            calls = {key: partial(_train if mode == 'train' else _forward, model, resizer, batch)
                     for key, resizer in resizers.items()}
            times = interleaved(calls, rounds, threads, done)
            yield [dict(pipeline=name, resizer=key, mode=mode, **quartiles(
                [ms / len(batch['inputs']) for ms in times[key]])) for key in calls]


def _let_read_detail(model: BaseModel) -> bool:
    """Gives the backbone a second convolution, which images without detail maps do not pass."""
    if isinstance(model.backbone, ReadsDetail):
        return True
    try:
        read_detail(model.backbone, RESIZERS[DETAIL]['detail_channels'])
    except ValueError as error:
        warnings.warn(f'{DETAIL} is left out: {error}', stacklevel=2)
        return False
    return True


@torch.no_grad()
def _forward(model: BaseModel, resizer: nn.Module, batch: dict) -> None:
    model.eval()
    model.data_preprocessor.resizer = resizer
    model(**model.data_preprocessor(copy.deepcopy(batch), False), mode='tensor')


def _train(model: BaseModel, resizer: nn.Module, batch: dict) -> None:
    model.train()
    model.data_preprocessor.resizer = resizer
    optimizer = torch.optim.SGD(model.parameters(), lr=0)
    model.train_step(copy.deepcopy(batch), OptimWrapper(optimizer))


def _batch(scope: str | None, size: tuple[int, int], number: int) -> dict:
    """Random images of one size (h, w) with random boxes or labels."""
    height, width = size
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    images, samples = [], []
    for _ in range(number):
        images.append(torch.randint(256, (3, *size), dtype=torch.uint8, generator=generator))
        if scope == 'mmdet':
            sample = DetDataSample(metainfo=meta)
            corner, extent = torch.rand(2, 3, 2, generator=generator) * torch.tensor(
                [width, height])
            boxes = torch.cat([corner / 2, corner / 2 + 20 + extent / 3], dim=1)
            sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(3))
        else:
            sample = SegDataSample(metainfo=meta)
            labels = torch.randint(2, (1, *size), generator=generator)
            sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)
