"""Runs a file of ``tools/export_onnx.py deploy``: see ``python -m dsnet_mm.deploy.predict``."""
import sys

from dsnet_mm.deploy.predict import main

if __name__ == '__main__':
    sys.exit(main())
