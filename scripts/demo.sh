#!/usr/bin/env bash
# The main job on the embedded fleet: builds the command and runs `sshoal demo` with the given arguments.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh build
exec cargo run --release --locked --package sshoal-cli -- demo "$@"
