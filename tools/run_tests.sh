#!/usr/bin/env bash
# Set up (seconds once it is done) and test: tools/run_tests.sh [arguments of pytest]
# Two minutes of them: tools/run_tests.sh -m fast
# All tests, the slow ones too: tools/run_tests.sh -m ''
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$(python3 tools/setup_env.py)
# The tests' tensors are small: threads would spend more time waiting than computing.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
exec "$PYTHON" -m pytest "$@"
