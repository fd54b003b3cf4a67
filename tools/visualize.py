"""Draws what resizers do to images: see ``dsnet-mm visualize --help``."""
import sys

from dsnet_mm.visualization.cli import main

if __name__ == '__main__':
    sys.exit(main())
