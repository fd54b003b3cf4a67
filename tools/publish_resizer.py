"""Takes the trained resizer out of a checkpoint: see ``dsnet-mm publish --help``."""
import sys

from dsnet_mm.cli.publish import main

if __name__ == '__main__':
    sys.exit(main())
