"""GuidedHead in what mmengine and mmseg put around a model."""
import os
from contextlib import contextmanager
from pathlib import Path

import dsnet_mm  # noqa: F401  (in new processes, too, in front of mmseg)

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, autocast
from mmseg.models import SegTTAModel
from test_guided_head import FCN, batch, guided, ramp, segmenter, small_scene
from torch import Tensor, distributed, nn
from torch.distributed.elastic.utils.distributed import get_free_port

STATISTICS = dict(mean=[120.] * 3, std=[70.] * 3)
TRAINED = [key for key, _ in segmenter().decode_head.upsampling.named_parameters()]


def model_to_train(**head) -> nn.Module:
    torch.manual_seed(0)
    model = segmenter(dict(guided(FCN), **head), backbone=dict(type='Convolutions'), size_divisor=8,
                      **STATISTICS)
    nn.init.normal_(model.decode_head.upsampling.logits.weight, std=0.1)
    return model


def scenes(*seeds: int) -> dict:
    images, labels = zip(*(small_scene(60, 84, seed) for seed in seeds))
    return batch(*images, labels=list(labels))


@pytest.mark.parametrize('size_divisor', [None, 32])
def test_test_time_augmentation_lies_on_its_pixels(size_divisor):
    model = segmenter(test=size_divisor and dict(size_divisor=size_divisor))
    image = ramp(92, 160)
    views = [batch(image, image, img_path='')]
    for direction, dims in (('horizontal', [2]), ('vertical', [1])):
        turned = image.flip(dims)
        views.append(batch(turned, turned, flip=True, flip_direction=direction,
                           img_path=''))
    data = {key: [view[key] for view in views] for key in views[0]}
    results = SegTTAModel(module=model).test_step(data)
    rows, columns = image[1], image[0]
    clear = (rows - columns).abs() > 1.5
    for border in (slice(None, 9), slice(-9, None)):
        clear[border] = clear[:, border] = False
    for result in results:
        assert result.pred_sem_seg.shape == (92, 160) and 'guide' not in result
        found, expected = result.pred_sem_seg.data[0], image.argmax(0)
        assert torch.equal(found[clear], expected[clear])


class HalfOptimWrapper(OptimWrapper):
    """mmengine's AmpOptimWrapper on the CPU, where it refuses to work."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


@pytest.mark.parametrize('bands', [1, 3])
def test_half_precision(bands):
    logged = {}
    for kind in (OptimWrapper, HalfOptimWrapper):
        model = model_to_train(loss_bands=bands)
        dtypes: list[torch.dtype] = []

        def record(module, inputs, out, dtypes=dtypes):
            dtypes.append(out.dtype)

        model.decode_head.upsampling.register_forward_hook(record)
        model.decode_head.head.conv_seg.register_forward_hook(record)
        optimizer = kind(torch.optim.SGD(model.parameters(), 0.01))
        before = {key: value.clone() for key, value in model.named_parameters()}
        logged[kind] = model.train_step(scenes(0, 1), optimizer)['loss']
        half = torch.float32 if kind is OptimWrapper else torch.bfloat16
        assert set(dtypes) == {torch.float32, half}
        for key, value in model.named_parameters():
            assert value.isfinite().all()
            if 'upsampling' in key:
                assert not torch.equal(value, before[key]), key
    torch.testing.assert_close(*logged.values(), rtol=0.03, atol=0)
    assert logged[OptimWrapper] != logged[HalfOptimWrapper]
    # Predictions are as those without autocast, too.
    model = model_to_train().eval()
    with torch.no_grad():
        [full] = model.test_step(scenes(0))
        with autocast(dtype=torch.bfloat16):
            [half] = model.test_step(scenes(0))
    assert half.seg_logits.data.dtype == torch.float32
    spread = full.seg_logits.data.max() - full.seg_logits.data.min()
    assert 0 < (half.seg_logits.data - full.seg_logits.data).abs().max() < 0.03 * spread


def trained(model: nn.Module, *seeds: int) -> dict[str, Tensor]:
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.05))
    for step in range(2):
        model.train_step(scenes(*(10 * step + seed for seed in seeds)), optimizer)
    return {key.removeprefix('module.'): value for key, value in model.state_dict().items()}


def worker(rank: int, port: int, out: Path) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    distributed.init_process_group('gloo', rank=rank, world_size=2)
    weights = {bands: trained(MMDistributedDataParallel(
        module=model_to_train(loss_bands=bands), broadcast_buffers=False), 2 * rank, 2 * rank + 1)
        for bands in (1, 3)}
    torch.save(weights, out / f'{rank}.pth')
    distributed.destroy_process_group()


def test_ranks_together_step_as_one_process(tmp_path):
    mp.start_processes(worker, (get_free_port(), tmp_path), nprocs=2, start_method='spawn')
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    start = model_to_train().state_dict()
    expected = trained(model_to_train(), 0, 1, 2, 3)
    assert all(not torch.equal(start[f'decode_head.upsampling.{key}'],
                               expected[f'decode_head.upsampling.{key}']) for key in TRAINED)
    for bands in (1, 3):
        for key, value in expected.items():
            assert torch.equal(ranks[0][bands][key], ranks[1][bands][key]), key
            torch.testing.assert_close(ranks[0][bands][key], value, rtol=1e-4, atol=1e-5)


class Watch(Hook):
    """Keeps the upsampling's weights after each iteration."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        self.weights.append({key: value.clone() for key, value in
                             runner.model.decode_head.upsampling.state_dict().items()})


def test_moving_average(tmp_path):
    pairs = [scenes(seed) for seed in range(4)]
    data = [{key: value[0] for key, value in pair.items()} for pair in pairs]
    watch = Watch()
    runner = Runner(
        model_to_train(), str(tmp_path), experiment_name='average', default_scope='mmseg',
        train_dataloader=dict(dataset=data, batch_size=1, collate_fn=dict(type='pseudo_collate'),
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.3),
                      watch])
    runner.train()
    expected = watch.weights[0]
    for weights in watch.weights[1:]:
        expected = {key: 0.7 * expected[key] + 0.3 * value for key, value in weights.items()}
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert len(watch.weights) == 4
    for key, value in expected.items():
        assert not torch.equal(watch.weights[0][key], watch.weights[-1][key])
        torch.testing.assert_close(saved[f'decode_head.upsampling.{key}'], value)
    model = model_to_train()
    model.load_state_dict(saved)
    [result] = model.eval().test_step(pseudo_collate([data[0]]))
    assert result.pred_sem_seg.shape == (60, 84)
