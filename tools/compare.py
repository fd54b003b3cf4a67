"""Trains a config with several resizers, and compares them: see ``dsnet-mm compare --help``."""
import sys

from dsnet_mm.cli.compare import main

if __name__ == '__main__':
    sys.exit(main())
