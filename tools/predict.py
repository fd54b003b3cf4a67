"""Runs an exported ONNX file on images and videos: see ``dsnet-mm predict --help``."""
import sys

from dsnet_mm.deploy.runtime.predict import main

if __name__ == '__main__':
    sys.exit(main())
