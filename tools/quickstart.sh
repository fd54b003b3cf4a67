#!/usr/bin/env bash
# From a fresh machine with Python to a segmenter trained behind interpolation and learned resizers.
# Takes the arguments of tools/quickstart.py: --fresh starts over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh
exec .venv/bin/python tools/quickstart.py "$@"
