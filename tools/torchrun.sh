#!/usr/bin/env bash
# Runs a script of this folder in several processes: what dist_train.sh and dist_test.sh share.
#   bash tools/torchrun.sh PROCESSES SCRIPT [arguments]
set -euo pipefail
processes=$1 script=$(dirname "${BASH_SOURCE[0]}")/$2
shift 2
if [ "${NNODES:-1}" = 1 ]; then
    where=(--standalone)
else
    where=(--nnodes="$NNODES" --node-rank="$NODE_RANK" --master-addr="$MASTER_ADDR"
           --master-port="${PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --nproc-per-node="$processes" \
    "$script" "$@" --launcher pytorch
