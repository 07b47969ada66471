#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu), builds, and runs: text from Google's checkpoint where it has been downloaded,
# else the comparison of every tensor with transformers on a small checkpoint that lies in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

model=${1:-google/t5gemma-2-270m-270m}
prompt='Translate the text from English to French.

English: The sea is calm tonight.
French:'

tests/install_packages.sh build-essential cmake pkgconf libeigen3-dev nlohmann-json3-dev libsentencepiece-dev \
  libxxhash-dev libstb-dev libcli11-dev
cmake -S . -B build -DBUILD_TESTING=OFF >/dev/null
cmake --build build --parallel "$(nproc)" --target t5gemma2-generate t5gemma2-compare t5gemma2-inspect

if trouble=$(build/bin/t5gemma2-inspect "$model" 2>&1 >/dev/null); then
  printf '\n%s\n' "$prompt"
  build/bin/t5gemma2-generate -m "$model" -p "$prompt" -n 32 --stop $'\n\n'
else
  echo "
$trouble

Meanwhile, every tensor of a small random checkpoint against transformers' own:
"
  build/bin/t5gemma2-compare tests/data/basic tests/data/basic/reference.safetensors
fi
