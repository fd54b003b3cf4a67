"""What DownsizeNet's time in front of RefineDet is made of, and what the machine allows for it."""
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarking.pipelines import NAMES, batch_of, forward
from benchmarking.resizers import RESIZERS
from benchmarking.timing import interleaved
from dsnet_mm.registry import build_resizer

import numpy as np
import torch
from complexity import CONFIGS, PIPELINES, build
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

PARTS = {'convolution': 'convolutions', 'addmm': 'matrix products', 'baddbmm': 'matrix products',
         'index_select': 'gathering', 'gather': 'gathering'}
REST, VIEWS, CALLS = 'pixel by pixel', 'views', "PyTorch's and Python's calls"
PIPELINE = 'RefineDet'


def part_of(packet: Any) -> str:
    """Of an operator."""
    return PARTS.get(packet.__name__, REST)


class Recorder(TorchDispatchMode):
    """Seconds, bytes read and written, and multiply-adds (counted by another), by part."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self.bytes: dict[str, float] = defaultdict(float)
        self.macs: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        start = time.perf_counter()
        out = func(*args, **kwargs)
        seconds = time.perf_counter() - start
        schema = func._schema
        is_view = not schema.is_mutable and any(x.alias_info for x in schema.arguments)
        part = VIEWS if is_view else part_of(func.overloadpacket)
        self.seconds[part] += seconds
        if part != VIEWS:
            # What is read several times over, such as a broadcast, is counted once.
            self.bytes[part] += sum(
                x.element_size() * min(x.numel(), x.untyped_storage().size() // x.element_size())
                for x in tree_flatten((args, kwargs, out))[0] if isinstance(x, Tensor))
        return out


class Recorded(nn.Module):
    """A resizer whose calls are recorded, or timed as they are."""

    def __init__(self, resizer: nn.Module) -> None:
        super().__init__()
        self.resizer = resizer
        self.records: list[Recorder] = []
        self.seconds: list[float] = []

    def forward(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        if len(self.records) < len(self.seconds):
            record = Recorder()
            # Counted first, so that counting is not timed.
            with record, FlopCounterMode(display=False) as counter:
                out = self.resizer(images, size)
            for packet, flops in counter.get_flop_counts().get('Global', {}).items():
                record.macs[part_of(packet)] += flops / 2
            self.records.append(record)
            return out
        start = time.perf_counter()
        out = self.resizer(images, size)
        self.seconds.append(time.perf_counter() - start)
        return out


def measurements(rounds: int) -> int:
    """How often :func:`measure` calls ``done``."""
    return (2 * rounds + 1) * (len(NAMES) + 2)


def measure(rounds: int, threads: int, done: Callable[[], None]) -> Iterator[list[dict]]:
    """A row for each part of DownsizeNet's time with 2, 3 and 4 convolutions, on the CPU.

    The machine's limits are a product of large matrices, and a copy of as much as the network's
    largest map, measured in turns with the rest.
    """
    torch.set_num_threads(threads)
    path, size = PIPELINES[PIPELINE]
    model, scope = build(CONFIGS / path)
    batch = batch_of(scope, size, 1)
    resizers = {name: Recorded(build_resizer(RESIZERS[name])) for name in NAMES}
    side, source = 1024, torch.rand(16, *size)
    matrix, target = torch.rand(side, side), torch.empty_like(source)
    calls: dict[str, Callable[[], object]] = {
        name: partial(forward, model, resizer, batch) for name, resizer in resizers.items()}
    calls['product'] = lambda: matrix @ matrix
    calls['copy'] = lambda: target.copy_(source)
    times = interleaved(calls, 2 * rounds, threads, done)
    macs = side**3 / np.median(times['product'])  # per millisecond
    bytes_ = 2 * source.numel() * source.element_size() / np.median(times['copy'])
    pipeline = float(np.median(times[NAMES[0]]))
    for name in NAMES[1:]:
        yield _rows(name, resizers[name], pipeline, macs, bytes_)


def _rows(name: str, resizer: Recorded, pipeline: float, macs: float, bytes_: float) -> list[dict]:
    records = resizer.records[1:]  # the first call of anything takes longer
    rows = []
    for part in (*dict.fromkeys(PARTS.values()), REST, VIEWS):
        rows.append(dict(
            resizer=name, part=part, ms=1000 * _median(record.seconds[part] for record in records),
            arithmetic_ms=_median(record.macs[part] for record in records) / macs,
            memory_ms=_median(record.bytes[part] for record in records) / bytes_))
    whole = 1000 * _median(resizer.seconds[1:])
    rows.append(dict(resizer=name, part=CALLS, ms=whole - sum(row['ms'] for row in rows),
                     arithmetic_ms=0., memory_ms=0.))
    return [{key: value if isinstance(value, str) else round(value, 4) for key, value in
             {**row, 'percent': 100 * row['ms'] / pipeline}.items()} for row in rows]


def _median(values: Any) -> float:
    return float(np.median(list(values)))
