#!/usr/bin/env bash
# Makes an environment with a tested stack and this package, editable, with the extras named as
# arguments. What is installed already is skipped.
#
#     tools/setup_env.sh [--stack openmmlab|compiled] [EXTRA ...]
#
#     stack       environment       versions
#     (default)   .venv             requirements/onedl.txt
#     openmmlab   .venv-openmmlab   requirements/openmmlab.txt
#     compiled    .venv-compiled    requirements/compiled.txt; MMCV_WHEELS is the folder with the
#                                   wheel of mmcv (default: ../shared/wheels)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stack=onedl suffix=
if [ "${1:-}" = --stack ]; then
    stack=$2 suffix="-$2"
    shift 2
fi
venv=.venv$suffix
requirements=requirements/$stack.txt
if [ ! -e "$requirements" ]; then
    echo "There is no stack '$stack': use openmmlab or compiled, or leave out --stack." >&2
    exit 1
fi

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
stamp="$venv/installed-${extras:-plain}-$(cat "$requirements" setup.cfg | cksum | cut -d' ' -f1)"
[ -e "$stamp" ] && exit 0

if ! is_supported $venv/bin/python || ! $venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    "$python" -m venv --clear $venv
fi
pip() { $venv/bin/python -m pip --disable-pip-version-check "$@"; }
echo "Installing torch and torchvision into $venv ..."
# shellcheck disable=SC2046  # one argument each
pip install --quiet $(grep -E '^torch(vision)?==' "$requirements")
echo 'Installing mmcv, mmengine, mmdet and mmsegmentation ...'
if [ "$venv" = .venv-compiled ]; then
    wheels=${MMCV_WHEELS:-../shared/wheels}
    pip install --quiet --no-deps --no-index --find-links "$wheels" \
        "$(grep '^onedl-mmcv==' "$requirements")" ||
        { echo "No wheel of mmcv for this Python in $wheels: set MMCV_WHEELS." >&2; exit 1; }
fi
pip install --quiet -r "$requirements"
pip install --quiet --constraint "$requirements" --editable ".${extras:+[$extras]}"

if ! error=$($venv/bin/python -c 'import cv2' 2>&1); then
    case "$error" in *libGL*) ;; *) echo "$error" >&2; exit 1 ;; esac
    version=$(grep '^opencv-python==' "$requirements" | cut -d= -f3)
    echo "cv2 cannot load libGL here: replacing opencv-python by opencv-python-headless $version."
    pip uninstall --quiet --yes opencv-python opencv-python-headless
    pip install --quiet "opencv-python-headless==$version"
fi
touch "$stamp"
