"""Runs one of the experiments in configs/experiments by ``dsnet-mm compare``.

Each is a YAML file, with the same name as its results in docs/results:

    config       the config that the variants share, or a list of configs, compared one by one
    variants     what to compare, the first is the reference: names that dsnet-mm compare knows, or
                 NAME: {OPTIONS} with other options of the config, where "resizer" is a known name
                 or a resizer's config
    mode         train (default), finetune, or resizer: only the resizer is trained
    from         the model that finetune and resizer start from; {seed} stands for the seed
    seeds, sizes, metric, cfg_options: as in dsnet-mm compare

Results go to work_dirs/experiments/NAME. Data sets are read from the folder DSNET_MM_DATA. More
arguments, such as --seeds or --jobs, are passed on to dsnet-mm compare.
"""
import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from dsnet_mm.cli import compare
from dsnet_mm.config import RESIZER
from dsnet_mm.variants import VARIANTS

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/experiments'
NAMES = sorted(str(file.relative_to(FOLDER).with_suffix('')) for file in FOLDER.glob('*/*.yml'))
OUT = 'work_dirs/experiments'
MODES = {'train': [], 'finetune': ['--finetune'], 'resizer': ['--train', 'resizer']}
KEYS = {'config', 'variants', 'mode', 'from', 'seeds', 'sizes', 'metric', 'cfg_options'}


def commands(name: str) -> list[list[str]]:
    """The arguments of ``dsnet-mm compare`` for each config of an experiment.

    Raises:
        ValueError: If its file has an unknown key or mode.
    """
    file = FOLDER / f'{name}.yml'
    experiment = tuples(yaml.safe_load(file.read_text(encoding='utf-8')))
    if unknown := experiment.keys() - KEYS:
        raise ValueError(f'{file} has unknown keys: {", ".join(sorted(unknown))}')
    mode = experiment.get('mode', 'train')
    if mode not in MODES:
        raise ValueError(f'{file}: mode must be one of {", ".join(MODES)}, got {mode!r}')
    arguments = ['--variants', *map(variant, experiment['variants']), *MODES[mode]]
    for key in ('from', 'metric'):
        if key in experiment:
            arguments += [f'--{key}', experiment[key]]
    for key in ('seeds', 'sizes'):
        if key in experiment:
            arguments += [f'--{key}', *map(str, experiment[key])]
    if 'cfg_options' in experiment:
        options = experiment['cfg_options'].items()
        arguments += ['--cfg-options', *(f'{key}={value}' for key, value in options)]
    config = experiment['config']
    if isinstance(config, str):
        return [[config, *arguments, '--work-dir', f'{OUT}/{name}']]
    return [[path, *arguments, '--work-dir', f'{OUT}/{name}/{Path(path).stem}'] for path in config]


def tuples(value: Any) -> Any:
    """A value from YAML with its lists as tuples, which mmdet and mmseg expect for sizes."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def variant(entry: str | dict[str, dict]) -> str:
    """A variant as ``dsnet-mm compare`` takes it."""
    if isinstance(entry, str):
        return entry
    [(name, options)] = entry.items()
    options = dict(options)
    if 'resizer' in options:
        resizer = options.pop('resizer')
        options = {RESIZER: VARIANTS[resizer] if isinstance(resizer, str) else resizer, **options}
    return f'{name}={options}'


def check_checkpoints(arguments: list[str]) -> None:
    """Checks that the experiments whose models this one uses have been run.

    Raises:
        FileNotFoundError: If a model of another experiment is missing.
    """
    args = compare.parse_args(arguments)
    for text in (args.checkpoint or '', *args.variants):
        for path in re.findall(rf"{OUT}/[^'\"]+", text):
            for seed in args.seeds:
                file = Path(path.replace('{seed}', str(seed)))
                if not file.is_file():
                    name = '/'.join(file.relative_to(OUT).parts[:2])
                    raise FileNotFoundError(f'there is no file {file}: run '
                                            f'"python tools/experiments.py {name}" first')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='names:\n  ' + '\n  '.join(NAMES),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=NAMES, metavar='NAME', help='one of the names below')
    args, more = parser.parse_known_args()
    os.chdir(ROOT)
    experiments = [[*arguments, *more] for arguments in commands(args.name)]
    try:
        for arguments in experiments:
            check_checkpoints(arguments)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None
    return max([compare.main(arguments) for arguments in experiments])


if __name__ == '__main__':
    sys.exit(main())
