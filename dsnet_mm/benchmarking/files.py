"""Exported files, from the full-size image to boxes or labels: in onnxruntime, in OpenVINO where it
is installed, and beside PyTorch."""
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.config import load_config
from dsnet_mm.deploy.export.check import Predictor
from dsnet_mm.deploy.export.images import fit, pick
from dsnet_mm.deploy.runtime.images import read_image
from dsnet_mm.deploy.runtime.session import Session
from dsnet_mm.engine.loading import load_model

import numpy as np
import torch

NUMBER = 8  # of images
RUNTIMES = ('onnxruntime', *(['OpenVINO'] if find_spec('openvino') else []))


def measurements(files: Sequence[Path], models: Sequence[Sequence[str]], rounds: int) -> int:
    """The number of calls of ``done`` by :func:`measure`."""
    return (rounds + 1) * (len(files) * len(RUNTIMES) + len(models))


def measure(files: Sequence[Path], models: Sequence[Sequence[str]], folder: Path, rounds: int,
            threads: int, done: Callable[[], None]) -> Iterator[list[dict]]:
    """Times whole files on the images of a folder, one image at a time.

    Args:
        files (Sequence[Path]): Written by "dsnet-mm export deploy" or "dsnet-mm quantize".
        models (Sequence): Pairs of config and checkpoint, of which PyTorch runs what
            ``tools/test.py`` does: test pipeline, model and decoding.
        folder (Path): Of images; so many of them make up a measurement.
        rounds (int): Measurements of each.
        threads (int): CPU threads.
        done (Callable): Called after each measurement.

    Yields:
        list[dict]: A row for each file in each runtime; the time is that of one image.

    Raises:
        OSError, ValueError: If a file, a checkpoint or an image cannot be used.
    """
    torch.set_num_threads(threads)
    images = [read_image(file) for file in pick(folder, NUMBER)]
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    for file in files:
        session = Session(file, threads)
        size = session.metadata.size
        own = images if size is None else [fit(image, size) for image in images]
        calls[str(file), 'onnxruntime'] = partial(_run, session, own)
        if 'OpenVINO' in RUNTIMES:
            calls[str(file), 'OpenVINO'] = partial(_run, _in_openvino(session, file, threads), own)
    for config, checkpoint in models:
        calls[config, 'PyTorch'] = partial(_run, _in_pytorch(config, checkpoint), images)
    times = interleaved(calls, rounds, threads, done)
    yield [dict(file=name, runtime=runtime, **quartiles(
        [ms / len(images) for ms in times[name, runtime]])) for name, runtime in calls]


def _run(call: Callable[[np.ndarray], object], images: Sequence[np.ndarray]) -> None:
    for image in images:
        call(image)


def _in_openvino(session: Session, file: Path, threads: int) -> Callable[[np.ndarray], object]:
    import openvino
    compiled = openvino.Core().compile_model(str(file), 'CPU', {
        'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32'})  # else it may round to bfloat16
    return lambda image: compiled(session.arrange(image))


def _in_pytorch(config: str, checkpoint: str) -> Callable[[np.ndarray], object]:
    cfg = load_config(config)
    return Predictor(load_model(cfg, checkpoint).eval(), cfg)
