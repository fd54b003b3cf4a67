"""Exported files, from the input image to boxes or labels: in onnxruntime, in OpenVINO if it is
installed, and compared with PyTorch."""
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from dsnet_mm.benchmarking.timing import interleaved, quartiles
from dsnet_mm.config import load_config
from dsnet_mm.deploy.export.reference import Predictor
from dsnet_mm.deploy.runtime.images import fit, pick_images, read_image
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
    """Times files of "dsnet-mm export deploy" or "dsnet-mm quantize" on images of a folder, and
    models (pairs of config and checkpoint) in PyTorch: test pipeline, model and decoding.

    The time of a row is that of one image.
    """
    torch.set_num_threads(threads)
    images = [read_image(file) for file in pick_images(folder, NUMBER)]
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    for file in files:
        session = Session(file, threads)
        size = session.metadata.size
        own = images if size is None else [fit(image, size) for image in images]
        calls[str(file), 'onnxruntime'] = partial(_run, session, own)
        if 'OpenVINO' in RUNTIMES:
            calls[str(file), 'OpenVINO'] = partial(_run, _in_openvino(session, file, threads), own)
    for config, checkpoint in models:
        cfg = load_config(config)
        predictor = Predictor(load_model(cfg, checkpoint).eval(), cfg)
        calls[config, 'PyTorch'] = partial(_run, predictor, images)
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
        'INFERENCE_PRECISION_HINT': 'f32'})  # otherwise it may round to bfloat16
    return lambda image: compiled(session.arrange(image))
