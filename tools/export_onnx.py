"""Writes a resizer or a model as an ONNX file: see ``dsnet-mm export --help``."""
import sys

from dsnet_mm.cli.export import main

if __name__ == '__main__':
    sys.exit(main())
