"""Writes an exported ONNX file in 8 bits: see ``dsnet-mm quantize --help``."""
import sys

from dsnet_mm.deploy.export.quantize import main

if __name__ == '__main__':
    sys.exit(main())
