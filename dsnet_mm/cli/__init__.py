"""The command ``dsnet-mm``, whose sub-commands are imported at their use."""
import argparse
from importlib import import_module

COMMANDS = {
    'compare': ('dsnet_mm.cli.compare', 'train a config with several resizers, and compare'),
    'benchmark': ('dsnet_mm.cli.benchmark', 'time resizers, alone and in front of models'),
    'complexity': ('dsnet_mm.cli.complexity', 'count parameters and multiply-adds'),
    'visualize': ('dsnet_mm.cli.visualize', 'draw what resizers do to images'),
    'resize': ('dsnet_mm.cli.resize', 'shrink image files with a trained resizer'),
    'publish': ('dsnet_mm.cli.publish', 'take the trained resizer out of a checkpoint'),
    'export': ('dsnet_mm.cli.export', 'write a resizer or a model as an ONNX file'),
    'quantize': ('dsnet_mm.cli.quantize', 'write an exported ONNX file in 8 bits'),
    'evaluate': ('dsnet_mm.cli.evaluate', "measure exported ONNX files by a config's test"),
    'predict': ('dsnet_mm.cli.predict', 'run an exported ONNX file on images and videos'),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a sub-command.

    Args:
        arguments (list[str], optional): The name of the sub-command, and its arguments. Default:
            those of the command line.

    Returns:
        int: The exit status.
    """
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        'dsnet-mm', description='DownsizeNet, a learned image downsizer.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='commands:\n' + '\n'.join(f'  {name:{width}}  {summary}'
                                         for name, (_, summary) in COMMANDS.items())
        + '\n\n"dsnet-mm COMMAND --help" has the arguments of a command.')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, metavar='...')
    args = parser.parse_args(arguments)
    module, _ = COMMANDS[args.command]
    return import_module(module).main(args.arguments)

