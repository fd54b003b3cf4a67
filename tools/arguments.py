"""The command-line arguments that OpenMMLab's tools share, and the config they make."""
import argparse
import os
from pathlib import Path

from dsnet_mm.config import load_config

import torch
from mmengine.config import Config, DictAction


def make_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='a path, or mmdet::... or mmseg::...')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints '
                        '(default: the config\'s, or work_dirs/<name of the config>)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings to override; data_root=DIR is that of all data sets')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch passes it; torchrun sets the environment variable instead
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)
    return parser


def make_config(args: argparse.Namespace) -> Config:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        _start_on_cpus(cfg)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config.split('::')[-1]).stem)
    return cfg


def _start_on_cpus(cfg: Config) -> None:
    """Replaces mmengine's launcher, which needs a GPU for each process."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False,
             find_unused_parameters=cfg.get('find_unused_parameters', False)),
        **cfg.get('model_wrapper_cfg') or {})
