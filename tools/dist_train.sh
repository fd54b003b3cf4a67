#!/usr/bin/env bash
# Trains with several processes, one for each GPU (without GPUs on the CPU):
#   bash tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# On several machines start it on each, with NNODES, NODE_RANK, MASTER_ADDR and perhaps PORT set.
# With Slurm: srun ... python tools/train.py CONFIG --launcher slurm
set -euo pipefail
config=$1 processes=$2
shift 2
exec bash "$(dirname "${BASH_SOURCE[0]}")/torchrun.sh" "$processes" train.py "$config" "$@"
