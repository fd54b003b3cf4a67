"""Models to be exported, and what the tests do with them."""
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from dsnet_mm.config import build_model, load_config
from dsnet_mm.deploy.export.graph import Graph

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, METRICS, init_default_scope
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import nn

# What would hide a mistake by being zero or alike everywhere.
FLAT = ('detail.weight', 'conv_offset', 'resizer.logits', 'conv_cls', 'atss_cls', 'retina_cls',
        'heatmap_head.2', 'cls_convs.0.weight', 'conv_seg', 'upsampling.logits', 'rpn_cls',
        'rpn_reg', 'fc_cls', 'fc_reg')


def build(name: str, options: dict | None = None) -> tuple[BaseModel, Config]:
    """An untrained mini model in which nothing is flat, and its config."""
    cfg = load_config(f'configs/mini/{name.split("_")[-1]}/{name}.py', options or {})
    model = build_model(cfg)
    for key, parameter in model.named_parameters():
        if any(part in key for part in FLAT):
            nn.init.normal_(parameter, std=0.1)
    return model.eval().requires_grad_(False), cfg


class Eager:
    """A graph that PyTorch runs, in the place of a file."""

    def __init__(self, graph: Graph, precision: str = 'float32') -> None:
        self.graph, self.names = graph, list(graph.names)
        self.metadata = SimpleNamespace(task=graph.task, boxes=getattr(graph, 'number', None),
                                        precision=precision)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        [found] = self.batch(image[None])
        return found

    @torch.no_grad()
    def batch(self, images: np.ndarray) -> list[dict[str, np.ndarray]]:
        """What is found in each of several images at once."""
        results = []
        for outputs in zip(*self.graph(torch.from_numpy(images))):
            found = {name: value.numpy() for name, value in zip(self.names, outputs)}
            if self.graph.task == 'detection':
                real = found['labels'] >= 0
                found = {name: value[real] for name, value in found.items()}
            results.append(found)
        return results


def overfit(cfg: Config, steps: int) -> BaseModel:
    """A model trained for seconds on eight images, on which the config then tests."""
    init_default_scope(cfg.default_scope)
    cfg.test_dataloader.dataset.update({
        key: cfg.train_dataloader.dataset[key] for key in ('ann_file', 'data_prefix')
        if key in cfg.train_dataloader.dataset})
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.indices = 8
    data = DATASETS.build(cfg.train_dataloader.dataset)
    model = build_model(cfg)
    model.init_weights()
    nn.init.normal_(model.data_preprocessor.resizer.logits.weight, std=0.1)
    rate = 5e-4 if cfg.model.type == 'DETR' else 2e-3
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=rate),
                             clip_grad=dict(max_norm=10))
    model.train()
    for step in range(steps):
        places = [(4 * step + i) % len(data) for i in range(4)]
        model.train_step(pseudo_collate([data[i] for i in places]), optimizer)
    return model.eval()


def evaluate(model: BaseModel, cfg: Config, results: Path) -> tuple[dict, dict]:
    """The metrics of the config's test on what a model predicts, and on what a file did.

    Args:
        results (Path): The output folder of ``dsnet-mm predict``.
    """
    data = DATASETS.build(cfg.test_dataloader.dataset)
    metrics = [METRICS.build(cfg.test_evaluator) for _ in range(2)]
    boxes = results / 'results.json'
    boxes = json.loads(boxes.read_text()) if boxes.exists() else None
    for metric in metrics:
        metric.dataset_meta = data.metainfo
    for i in range(len(data)):
        batch = pseudo_collate([data[i]])
        with torch.no_grad():
            [sample] = model.test_step(batch)
        metrics[0].process(batch, [sample.to_dict()])
        metrics[1].process(batch, [_replaced(sample, results, boxes).to_dict()])
    first, second = (metric.evaluate(len(data)) for metric in metrics)
    return first, second


def _replaced(sample: BaseDataElement, results: Path, boxes: list | None) -> BaseDataElement:
    import cv2
    name = Path(sample.img_path).name
    if boxes is None:
        labels = cv2.imread(str(results / 'labels' / name), cv2.IMREAD_UNCHANGED)
        if labels is None:
            labels = cv2.imread(str((results / 'labels' / name).with_suffix('.png')),
                                cv2.IMREAD_UNCHANGED)
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(labels.astype(np.int64))[None])
        return sample
    own = [each for each in boxes if each['file_name'] == name]
    corners = torch.tensor([each['bbox'] for each in own]).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    sample.pred_instances = InstanceData(
        bboxes=corners, scores=torch.tensor([each['score'] for each in own]),
        labels=torch.tensor([each['category_id'] for each in own], dtype=torch.long))
    return sample


def predict(file: Path, images: list[str], out: Path) -> None:
    """Runs ``dsnet-mm predict`` where there is no PyTorch."""
    code = ("import sys\nfor name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', "
            "'mmseg'): sys.modules[name] = None\n"
            'from dsnet_mm.cli.predict import main\nsys.exit(main())')
    result = subprocess.run([sys.executable, '-c', code, str(file), *images, '--out', str(out)],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def image_paths(cfg: Config) -> list[str]:
    """The images of the config's test."""
    data = DATASETS.build(cfg.test_dataloader.dataset)
    return [data.get_data_info(i)['img_path'] for i in range(len(data))]
