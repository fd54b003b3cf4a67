"""The runs of a comparison: one for each variant of a config and each seed."""
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsnet_mm.comparison.runs import Run
from dsnet_mm.config import (
    RESIZER,
    is_ours,
    merge_options,
    resizer_config,
    resolve,
    scope_of,
    text_of,
)
from dsnet_mm.engine.hooks import TrainResizerOnlyHook
from dsnet_mm.models.backbones.detail import DetailBackbone
from dsnet_mm.registry import build_resizer
from dsnet_mm.resizers import pretrained

from mmengine.config import Config
from mmengine.registry import HOOKS, METRICS, MODELS

HIGH_RES = 'high-res'  # the variant without a resizer: the model on the input image


class Comparison(NamedTuple):
    """The runs of a comparison at one size."""
    cfg: Config  # which all runs share
    runs: list[Run]
    metric: str
    folder: Path


def at_size(cfg: Config, size: float) -> Config:
    """A copy of a config with another size of the resized image: a scale if it is below 1.

    Otherwise pixels: of the short edge where the config sets one, of both sides elsewhere.
    """
    cfg = copy.deepcopy(cfg)
    preprocessor = cfg.model.data_preprocessor
    by_short_edge = preprocessor.get('short_edge') is not None
    preprocessor.update(target_size=None, scale=None, short_edge=None)
    if size < 1:
        preprocessor.scale = size
    elif by_short_edge:
        preprocessor.short_edge = int(size)
    else:
        preprocessor.target_size = (int(size), int(size))
    return cfg


def plan(cfg: Config, variants: dict[str, dict], seeds: Sequence[int], folder: Path, mode: str,
         metric: str, note: str = '') -> list[Run]:
    """Plans the runs of a comparison, seed by seed.

    ``variants`` are the options that each sets in the config, by name; ``mode`` is that of
    :class:`About`; ``note`` is what messages add to the name of a run.
    """
    runs = []
    for seed in seeds:
        for variant, options in variants.items():
            run_cfg = copy.deepcopy(cfg)
            if RESIZER in options:  # replaces the config's instead of being merged into it
                run_cfg.model.data_preprocessor.resizer = {}
            merge_options(run_cfg, options)
            use_detail_backbone(run_cfg)
            if variant == HIGH_RES:
                run_cfg.model.data_preprocessor.update(target_size=None, short_edge=None, scale=1.0)
            run_cfg.randomness = dict(run_cfg.get('randomness') or {}, seed=seed)
            if run_cfg.get('load_from'):
                run_cfg.load_from = run_cfg.load_from.replace('{seed}', str(seed))
            run_cfg.work_dir = None  # set by the worker, so that a folder may be moved
            if 'max_iters' in cfg.train_cfg:
                run_cfg.default_hooks.logger.log_metric_by_epoch = False
            if mode == 'resizer':
                run_cfg.custom_hooks = [*(run_cfg.get('custom_hooks') or []),
                                        dict(type='dsnet_mm.TrainResizerOnlyHook')]
                run_cfg.find_unused_parameters = True
            total = run_cfg.train_cfg.get('max_epochs') or run_cfg.train_cfg.max_iters
            runs.append(Run(variant, seed, options, folder / 'runs' / f'{variant}-seed{seed}',
                            text_of(run_cfg), total, metric, note))
    return runs


def use_detail_backbone(cfg: Config) -> None:
    """Lets the backbone read the detail maps of the config's resizer, if that gives any."""
    resizer, backbone = pretrained.complete(resizer_config(cfg)), cfg.model.get('backbone') or {}
    gives = resizer.get('detail_channels') or resizer['type'] == 'SpaceToDepth'
    if not gives:
        return
    if resolve(backbone.get('type'), MODELS, scope_of(cfg)) is not DetailBackbone:
        backbone = {**backbone, 'type': 'dsnet_mm.DetailBackbone',
                    'backbone': backbone.get('type')}
    cfg.model.backbone = {**backbone,
                          'detail_channels': build_resizer(resizer).detail_channels}


def is_frozen(cfg: Config) -> bool:
    """Whether a run trains the resizer and guided upsampling only, with a frozen model."""
    return any(resolve(hook['type'], HOOKS) is TrainResizerOnlyHook
               for hook in cfg.get('custom_hooks') or [])


def check_config(cfg: Config) -> None:
    """Raises a ValueError if a config has no resizer, or nothing to train or to evaluate."""
    preprocessor = cfg.get('model', {}).get('data_preprocessor') or {}
    scope = scope_of(cfg)
    if not is_ours(preprocessor, scope):
        name = ('DownsizeSegDataPreProcessor' if scope == 'mmseg' else
                'DownsizeDetDataPreprocessor')
        raise ValueError(
            f'the config has no resizer, its preprocessor is {preprocessor.get("type")}: add '
            f'--cfg-options model.data_preprocessor.type=dsnet_mm.{name} '
            'model.data_preprocessor.scale=0.5')
    for key in ('default_hooks', 'train_cfg', 'val_dataloader', 'val_evaluator'):
        if cfg.get(key) is None:
            raise ValueError(f'the config has no {key}: a comparison trains a model of mmdet or '
                             'mmseg and evaluates it on the validation set')


def main_metric(cfg: Config) -> str:
    """The key of the main metric of a config's evaluator; a ValueError if none is known."""
    evaluators = cfg.val_evaluator
    if isinstance(evaluators, dict):
        evaluators = evaluators.get('metrics', [evaluators])
    keys = {'VOCMetric': 'pascal_voc/mAP', 'CocoMetric': 'coco/bbox_mAP', 'IoUMetric': 'mIoU'}
    for evaluator in evaluators:
        metric = resolve(evaluator['type'], METRICS, scope_of(cfg))
        if key := keys.get(getattr(metric, '__name__', metric)):
            return key
    raise ValueError(f'name the value of {evaluators[0]["type"]} to compare with --metric, as the '
                     'log of a validation does, for example coco/segm_mAP')
