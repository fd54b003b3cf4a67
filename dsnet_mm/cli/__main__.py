"""``python -m dsnet_mm.cli``."""
import sys

from dsnet_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
