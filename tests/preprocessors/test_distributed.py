"""Two processes with different data end up with the same resizer, the mean of both gradients."""
import os
import socket

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement


class Tiny(BaseModel):
    """A convolution behind DownsizeNet."""

    def __init__(self) -> None:
        super().__init__(dict(
            type='dsnet_mm.DownsizeDetDataPreprocessor', target_size=(8, 8), mean=[120.] * 3,
            std=[60.] * 3, bgr_to_rgb=False))
        self.head = torch.nn.Conv2d(3, 1, 3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=self.head(inputs).square().mean())


def batch(rank: int) -> dict:
    generator = torch.Generator().manual_seed(rank)
    return dict(inputs=[torch.randint(0, 256, (3, 20, 15), generator=generator).byte()],
                data_samples=[BaseDataElement()])


def seeded_model() -> Tiny:
    torch.manual_seed(0)
    model = Tiny()
    for p in model.data_preprocessor.resizer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


def worker(rank: int, port: int, find_unused: bool, out: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    model = seeded_model()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    # As mmengine's Runner wraps a model. With broadcast_buffers, torch 2.1 writes to the mean and
    # standard deviation between the preprocessor and the model, and backward refuses.
    parallel = MMDistributedDataParallel(
        module=model, find_unused_parameters=find_unused, broadcast_buffers=False)
    parallel.train_step(batch(rank), optimizer)
    torch.save(model.state_dict(), f'{out}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('find_unused', [False, True])
def test_processes_agree_with_the_mean_gradient(tmp_path, find_unused):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.spawn(worker, (port, find_unused, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))

    model = seeded_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = [model(**model.data_preprocessor(batch(rank), True))['loss'] for rank in (0, 1)]
    (sum(losses) / 2).backward()
    optimizer.step()
    for name, expected in model.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], expected)
    assert any(not torch.equal(first[k], before[k]) for k in before if 'resizer' in k)
