#!/usr/bin/env bash
# The tests, two at a time, in the environment they need. Takes pytest's arguments (-n 0: one at a
# time, as a debugger or -s want it) and passes on its exit code.
# With --stack openmmlab or --stack compiled first, those of another stack (tools/setup_env.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stack=()
if [ "${1:-}" = --stack ]; then
    stack=(--stack "${2:?--stack needs a name: openmmlab or compiled}")
    shift 2
fi
bash tools/setup_env.sh "${stack[@]}" test
exec ".venv${stack[1]:+-${stack[1]}}/bin/python" -m pytest -n 2 --dist loadfile --durations 20 "$@"
