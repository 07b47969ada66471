#!/usr/bin/env bash
# tests/consumer/build_type.sh PREFIX   a project that uses the engine, installed in PREFIX or from its sources, is
# warned when it has no build type, and only then
set -euo pipefail
unset CDPATH CXXFLAGS CMAKE_BUILD_TYPE CMAKE_GENERATOR
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() {  # expected number of warnings, arguments of cmake
  rm -rf "$scratch/build"
  cmake -S "$here" -B "$scratch/build" "${@:2}" &>"$scratch/log" || { cat "$scratch/log"; exit 1; }
  local found
  found=$(grep -c "t5gemma2: no build type" "$scratch/log" || true)
  [[ $found == "$1" ]] || { echo "cmake ${*:2}: expected $1 warnings, found $found"; cat "$scratch/log"; exit 1; }
}

for engine in "-DCMAKE_PREFIX_PATH=$1" "-DT5GEMMA2_SOURCE=$here/../.."; do
  check 1 "$engine"
  check 1 "$engine" -DCMAKE_CXX_FLAGS="-Wall -DX=-O"
  check 0 "$engine" -DCMAKE_CXX_FLAGS="-Wall -O2"
  check 0 "$engine" -DCMAKE_BUILD_TYPE=Release
  check 0 "$engine" -DCMAKE_BUILD_TYPE=Debug
  check 0 "$engine" -G "Ninja Multi-Config"
done
