#!/usr/bin/env bash
# From a fresh machine with Python to a comparison of interpolation and learned resizers: makes the
# environment and a data set of thin cracks in photographs, and trains a U-Net with each of four
# resizers. Takes the arguments of dsnet-mm compare, such as --fresh to start over. A second run
# keeps what is finished.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh

[ -e data/cracks ] || .venv/bin/python tools/datasets/make_cracks.py --out data/cracks
for expected in train:200 val:60; do
    part=${expected%:*} number=${expected#*:}
    found=$({ find "data/cracks/images/$part" -name '*.png' 2>/dev/null || true; } | wc -l)
    if [ "$found" -ne "$number" ]; then
        echo "data/cracks has $((found)) $part images instead of $number: it is not the" \
            "quickstart's data set; move it away" >&2
        exit 1
    fi
done

exec .venv/bin/dsnet-mm compare configs/mini/cracks/unet_cracks.py --metric IoU/crack \
    --variants bilinear antialias downsizenet-v2 downsizenet-v2+detail --seeds 0 1 2 \
    --jobs "$(.venv/bin/python -c 'import os; print(min(2, os.cpu_count() or 1))')" \
    --work-dir work_dirs/quickstart "$@"
