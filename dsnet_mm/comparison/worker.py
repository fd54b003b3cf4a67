"""Trains and evaluates one run of a comparison, then writes ``result.json`` into its folder."""
import os
import sys
import threading
import time
from pathlib import Path

from dsnet_mm.comparison.metrics import detailed, details
from dsnet_mm.comparison.plan import is_frozen
from dsnet_mm.comparison.results import Evaluation, save
from dsnet_mm.config import scope_of
from dsnet_mm.engine.checkpoints import latest_checkpoint
from dsnet_mm.engine.hooks import resizing_parameters, unwrapped
from dsnet_mm.engine.training import out_of_memory_explained, safeguard
from dsnet_mm.files import check_file

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def load_run(file: Path) -> Config:
    """Loads the config of a run; its work dir is the folder of the same name."""
    cfg = Config.fromfile(file)
    cfg.work_dir = str(file.with_suffix(''))
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Builds the runner of a run, as tools/train.py does."""
    if checkpoint := latest_checkpoint(cfg.work_dir):
        cfg.resume, cfg.load_from = True, checkpoint
    if cfg.get('load_from'):
        check_file(cfg.load_from)
    safeguard(cfg)
    cfg.test_dataloader, cfg.test_cfg = cfg.val_dataloader, dict(type='TestLoop')
    cfg.val_evaluator = cfg.test_evaluator = detailed(cfg.val_evaluator, scope_of(cfg))
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def train_and_evaluate(cfg: Config) -> Evaluation:
    """Trains a run, if there is anything to train, and evaluates it."""
    runner = build_runner(cfg)
    model = unwrapped(runner)
    if not is_frozen(cfg) or resizing_parameters(model):
        with out_of_memory_explained():
            runner.train()
    else:
        model.init_weights()
    metrics = runner.test()
    per_class, per_size = details(runner.test_evaluator.metrics, metrics,
                                  runner.test_dataloader.dataset.metainfo['classes'])
    return Evaluation({key: float(value) for key, value in metrics.items()}, per_class, per_size,
                      get_device())


def _end_with(parent: int) -> None:
    """Ends this process when its comparison is killed."""
    while True:
        time.sleep(1)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)


def main(file: str, launcher: str, parent: str) -> None:
    threading.Thread(target=_end_with, args=[int(parent)], daemon=True).start()
    cfg = load_run(Path(file))
    cfg.launcher = launcher
    evaluation = train_and_evaluate(cfg)
    if is_main_process():
        save(evaluation, Path(cfg.work_dir) / 'result.json')


if __name__ == '__main__':
    main(*sys.argv[1:])
