#!/usr/bin/env bash
# The tests, in the environment they need. Takes pytest's arguments and passes on its exit code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh test
exec .venv/bin/python -m pytest "$@"
