"""Times resizers, models and exported files: see ``dsnet-mm benchmark --help``."""
import sys

from dsnet_mm.cli.benchmark import main

if __name__ == '__main__':
    sys.exit(main())
