"""The command ``dsnet-mm``, which imports a sub-command when it is used."""
import argparse
from importlib import import_module

COMMANDS = {
    'compare': ('dsnet_mm.cli.compare', 'train a config with several resizers, and compare them'),
    'benchmark': ('dsnet_mm.cli.benchmark', 'time resizers, models and exported files'),
    'complexity': ('dsnet_mm.cli.complexity', 'count parameters and multiply-adds'),
    'visualize': ('dsnet_mm.cli.visualize', 'draw resized images and maps of coefficients'),
    'resize': ('dsnet_mm.cli.resize', 'resize image files with a trained resizer'),
    'publish': ('dsnet_mm.cli.publish', 'save the resizer of a checkpoint as a file of its own'),
    'export': ('dsnet_mm.cli.export', 'export a resizer or a model to ONNX'),
    'quantize': ('dsnet_mm.cli.quantize', 'quantize an exported ONNX file to 8 bits'),
    'evaluate': ('dsnet_mm.cli.evaluate', "evaluate exported ONNX files by a config's test"),
    'predict': ('dsnet_mm.cli.predict', 'run an exported ONNX file on images and videos'),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a sub-command, given by its name and arguments, and returns the exit status."""
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        'dsnet-mm', description='DownsizeNet, a learned image downsizer.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='commands:\n' + '\n'.join(f'  {name:{width}}  {summary}'
                                         for name, (_, summary) in COMMANDS.items())
        + '\n\n"dsnet-mm COMMAND --help" shows the arguments of a command.')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, metavar='...')
    args = parser.parse_args(arguments)
    module, _ = COMMANDS[args.command]
    return import_module(module).main(args.arguments)
