"""Measures exported ONNX files as their config's test does: see ``dsnet-mm evaluate --help``."""
import sys

from dsnet_mm.cli.evaluate import main

if __name__ == '__main__':
    sys.exit(main())
