#!/usr/bin/env bash
# From a clone to tested programs in build/bin: installs what is missing (Debian 12, Ubuntu 24.04 or newer), builds,
# and runs every test that needs no torch. Arguments go to cmake: tests/run.sh -DT5GEMMA2_WERROR=ON
set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step=""
trap '(($? == 0)) || echo "tests/run.sh: FAILED: $step (the reason stands above)" >&2' EXIT

step="installing packages"
tests/install_packages.sh build-essential cmake pkgconf libeigen3-dev nlohmann-json3-dev libsentencepiece-dev \
  libxxhash-dev libjpeg-dev libstb-dev libcli11-dev libedit-dev doctest-dev python3-venv

step="configuring"
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON "$@"
step="building"
cmake --build build --parallel "$(nproc)"
step="C++ tests"
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)"

step="making build/venv for the Python tests"
python=build/venv/bin/python
system_python=/usr/bin/python3  # the one python3-venv belongs to
[[ -x $system_python ]] || system_python=python3
"$python" -m pip --version &>/dev/null || "$system_python" -m venv --clear build/venv
"$python" -m pip install --quiet --disable-pip-version-check --editable 'weights_tool[test]'
step="Python tests"
"$python" -m pytest --quiet tests/project
"$python" -m pytest --quiet weights_tool -m "not torch"

echo "All tests passed. Programs: build/bin/t5gemma2-generate and its neighbours."
