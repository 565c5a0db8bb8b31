#!/usr/bin/env bash
# From a bare machine to an adapted recognizer: set-up, data, training, adaptation, evaluation.
# tools/quickstart.sh [arguments of tools/quickstart.py]; run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$(python3 tools/setup_env.py)
exec "$PYTHON" tools/quickstart.py "$@"
