"""Counts parameters and multiply-adds: see ``dsnet-mm complexity --help``."""
import sys

from dsnet_mm.benchmarking.complexity import main

if __name__ == '__main__':
    sys.exit(main())
