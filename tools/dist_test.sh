#!/usr/bin/env bash
# Tests with several processes, one for each GPU (without GPUs on the CPU):
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
# Several machines and Slurm as in tools/dist_train.sh.
set -euo pipefail
config=$1 checkpoint=$2 processes=$3
shift 3
exec bash "$(dirname "${BASH_SOURCE[0]}")/torchrun.sh" "$processes" test.py "$config" \
    "$checkpoint" "$@"
