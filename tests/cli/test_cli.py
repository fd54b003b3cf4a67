"""The command dsnet-mm and its sub-commands, and the scripts in tools/ that stand for them."""
import importlib
import subprocess
import sys

from dsnet_mm import cli

import pytest

TOOLS = 'compare', 'benchmark'


def test_its_help_names_the_sub_commands(capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(['--help'])
    text = capsys.readouterr().out
    assert error.value.code == 0 and text.startswith('usage: dsnet-mm ')
    for name, (_, summary) in cli.COMMANDS.items():
        assert f'\n  {name} ' in text and summary in text


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_sub_command_has_help(name, capsys):
    pytest.importorskip('onnxruntime')
    with pytest.raises(SystemExit) as error:
        cli.main([name, '--help'])
    assert error.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: dsnet-mm {name} ')


@pytest.mark.parametrize('arguments', [[], ['shrink'], ['resize', 'photos', '--size', '0,x']])
def test_what_it_does_not_understand(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2 and 'dsnet-mm' in capsys.readouterr().err


@pytest.mark.parametrize('name', TOOLS)
def test_the_script_is_the_sub_command(name):
    main = importlib.import_module(name).main
    assert main is importlib.import_module(cli.COMMANDS[name][0]).main


def test_predicting_needs_no_pytorch():
    pytest.importorskip('onnxruntime')
    program = ('import sys\n'
               'for name in ("torch", "mmengine", "mmcv"): sys.modules[name] = None\n'
               'from dsnet_mm.cli import main\n'
               'main(["predict", "--help"])')
    text = subprocess.run([sys.executable, '-c', program], check=True, capture_output=True,
                          text=True).stdout
    assert text.startswith('usage: dsnet-mm predict')
