"""Draws what resizers do to images: see ``dsnet-mm visualize --help``."""
import sys

from dsnet_mm.cli.visualize import main

if __name__ == '__main__':
    sys.exit(main())
