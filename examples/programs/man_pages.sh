#!/usr/bin/env bash
# examples/programs/man_pages.sh PROGRAMS FOLDER   makes a man page from the --help of each program; needs help2man.
# The pages have the date SOURCE_DATE_EPOCH, where it is set.
set -euo pipefail
programs=$1 folder=$2
mkdir -p "$folder"

version=$("$programs/t5gemma2" --version)  # with the instruction set of this machine, which a page leaves out
version=${version#* } version=${version%% *}

programs_help=$("$programs/t5gemma2" --help)
names=() summaries=()
while read -r name summary; do
  names+=("t5gemma2-$name") summaries+=("$summary")
done < <(sed -n 's/^  \([a-z]\)/\1/p' <<<"$programs_help")
names+=(t5gemma2) summaries+=("text and images in, text out, with T5Gemma 2")  # last: CMake takes it as the sign that all are made

for i in "${!names[@]}"; do
  others=()
  for name in "${names[@]}"; do [[ $name == "${names[i]}" ]] || others+=(".BR $name (1)"); done
  {
    printf '[SEE ALSO]\n.nh\n.ad l\n'
    printf '%s,\n' "${others[@]}" | sed '$s/,$//'
  } >"$folder/see_also"
  help2man --no-info --include "$folder/see_also" --name "${summaries[i]}" --version-string "${names[i]} $version" \
    --output "$folder/${names[i]}.1" "$programs/${names[i]}"
  # keep each command on a line of its own
  sed -i '/^\.SH EXAMPLES/,/^\.SH "/ { s/^\.IP$/.nf/; /^\.br$/d; s/^\.SH "/.fi\n&/ }' "$folder/${names[i]}.1"
done
rm "$folder/see_also"
