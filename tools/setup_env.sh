#!/usr/bin/env bash
# Makes .venv with the tested stack (requirements.txt) and this package, editable, with the extras
# named as arguments. What is installed already is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null
}

find_python() {
    for python in "${PYTHON:-}" python3.11 python3.12 python3.10 python3 python; do
        if [ -n "$python" ] && is_supported "$python"; then
            echo "$python"
            return
        fi
    done
    echo 'Python 3.10, 3.11 or 3.12 is needed: set PYTHON to its path.' >&2
    return 1
}

extras=$(IFS=,; echo "$*")
stamp=".venv/installed-${extras:-plain}-$(cat requirements.txt setup.cfg | cksum | cut -d' ' -f1)"
[ -e "$stamp" ] && exit 0

if ! is_supported .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    "$python" -m venv --clear .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
echo 'Installing torch and torchvision ...'
# shellcheck disable=SC2046  # one argument each
pip install --quiet $(grep -E '^torch(vision)?==' requirements.txt)
echo 'Installing mmcv, mmengine, mmdet and mmsegmentation ...'
pip install --quiet -r requirements.txt
pip install --quiet --editable ".${extras:+[$extras]}"

if ! error=$(.venv/bin/python -c 'import cv2' 2>&1); then
    case "$error" in *libGL*) ;; *) echo "$error" >&2; exit 1 ;; esac
    version=$(grep '^opencv-python==' requirements.txt | cut -d= -f3)
    echo "cv2 cannot load libGL here: replacing opencv-python by opencv-python-headless $version."
    pip uninstall --quiet --yes opencv-python opencv-python-headless
    pip install --quiet "opencv-python-headless==$version"
fi
touch "$stamp"
