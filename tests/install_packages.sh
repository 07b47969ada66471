#!/usr/bin/env bash
# tests/install_packages.sh PACKAGE...   installs those Debian or Ubuntu packages that are missing
set -euo pipefail

if ! command -v apt-get >/dev/null; then
  echo "note: no apt-get here; needed are what Debian calls: $*"
  exit 0
fi
missing=()
for package; do
  state=$(dpkg-query --show --showformat '${db:Status-Status} ' "$package" 2>/dev/null || true)
  [[ " $state" == *" installed "* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  as_root=(sudo)
  if ! command -v sudo >/dev/null; then
    echo "error: missing packages; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
echo "installing ${missing[*]}"
as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get --quiet --option DPkg::Lock::Timeout=300)
"${as_root[@]}" update
"${as_root[@]}" install --yes --no-install-recommends "${missing[@]}"
