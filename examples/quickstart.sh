#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu), builds the programs, and runs pocket, the small model in this
# repository: texts, an image, a long text with codes hidden in it, and a page that shows where the model looked.
set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step=""
trap '(($? == 0)) || echo "quickstart.sh: FAILED: $step (the reason is above)" >&2' EXIT

step="installing packages"
tests/install_packages.sh build-essential cmake pkgconf libeigen3-dev nlohmann-json3-dev libsentencepiece-dev \
  libxxhash-dev libjpeg-dev libstb-dev libcli11-dev libedit-dev
step="configuring"
cmake -S . -B build -DBUILD_TESTING=OFF >/dev/null
step="building"
cmake --build build --parallel "$(nproc)"

generate=build/bin/t5gemma2-generate
look=build/bin/t5gemma2-look
image=examples/inputs/shapes.png
text=examples/inputs/long.txt
page=build/look.html

show() {  # INPUT FLAGS...: prints the input, and the answer that these flags give
  local answer
  step="running $generate"
  printf '\n  in   %s\n' "$1"
  answer=$("$generate" --quiet "${@:2}")
  printf '  out  %s\n' "$answer"
}
ask() { show "$1" -p "$1"; }
see() { show "[$image] $1" --image "$image" -p "<start_of_image>$1"; }

echo "
pocket, a small T5Gemma 2 (examples/pocket/README.md), run by $generate:"
ask 'date: the 5th of march 2024'
ask 'sort: viper otter frog hen mole'
ask 'in lumi: a blue duck helps an old fish at the river'
show 'tuesday wednesday ___ saturday' --fill -p 'tuesday wednesday ___ saturday'
see 'describe'
see 'what colour is the square?'
show "[$text, $(wc -w <"$text") words] ...$(grep -o '[^.]*$' "$text")" -f "$text"

step="running $look"
"$look" --quiet --image "$image" -p '<start_of_image>describe' -o "$page"

echo "
Where it looked, word by word, while it described the image: open $page
Next:
  your own image       $generate --image IMAGE -p '<start_of_image>describe'  (it knows coloured shapes only)
  Google's weights     README.md, \"Google's weights\"; then $generate -m google/t5gemma-2-270m-270m -p ...
  the tests            tests/run.sh"
