from dsnet_mm.cli import compare

import experiments
import pytest


@pytest.mark.parametrize('name', experiments.EXPERIMENTS)
def test_every_experiment_can_be_planned(name, data_root, tmp_path, monkeypatch):
    monkeypatch.setenv('DSNET_MM_DATA', str(data_root))
    for number, arguments in enumerate(experiments.EXPERIMENTS[name]):
        if '--from' in arguments:
            checkpoint = arguments.index('--from') + 1
            arguments = [*arguments[:checkpoint], str(tmp_path / 'model.pth'),
                         *arguments[checkpoint + 1:]]
            (tmp_path / 'model.pth').touch()
        args = compare.parse_args([*arguments, '--work-dir', str(tmp_path / str(number))])
        comparisons = compare.prepare(args)
        assert len(comparisons) == len(args.sizes or [None])
        for _, runs, *_ in comparisons:
            assert len(runs) == len(args.seeds) * len(args.variants)
            assert all(run.config_file.exists() for run in runs)
