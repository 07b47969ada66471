# Completion in bash after t5gemma2 and t5gemma2-PROGRAM: programs, flags, and the files or words that a flag takes, all
# read from --help at that moment. It needs nothing but bash. The package bash-completion finds this file in
# share/bash-completion/completions; without that package, source it.

# Prints "FLAG VALUE" for each flag in the --help of a command, and "WORD" for each word without a flag.
_t5gemma2_rows() {
  local line word value
  local -a words
  while IFS= read -r line; do
    [[ $line == '  '[^\ \$]* ]] || continue
    line=${line#  }
    read -ra words <<<"${line%%  *}"
    value=
    for word in "${words[@]}"; do
      [[ $word == -* ]] || value=$word
    done
    [[ ${words[0]} == -* ]] || echo "$value"
    for word in "${words[@]}"; do
      [[ $word != -* ]] || echo "${word%,} $value"
    done
  done < <("$@" --help 2>/dev/null)
}

# Adds folders, and files whose names in lower case match the pattern.
_t5gemma2_files() {  # PATTERN CURRENT
  local file
  compopt -o filenames 2>/dev/null  # fails in a script
  while IFS= read -r file; do
    # shellcheck disable=SC2053
    if [[ -d ${file/#\~/$HOME} || ${file,,} == $1 ]]; then COMPREPLY+=("$file"); fi
  done < <(compgen -f -- "$2")
}

# Adds pocket, the models in the Hugging Face cache, folders, and files whose names match the pattern.
_t5gemma2_models() {  # PATTERN CURRENT
  local cache=${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub} folder
  local -a names=(pocket)
  for folder in "$cache"/models--*--*; do
    [[ -d $folder ]] || continue
    folder=${folder##*/models--}
    names+=("${folder/--//}")
  done
  mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "${names[*]}" -- "$2")
  _t5gemma2_files "$1" "$2"
}

# Adds the words or files for a value that --help calls VALUE.
_t5gemma2_values() {  # VALUE CURRENT
  case $1 in
    *'|'*) mapfile -t COMPREPLY < <(compgen -W "${1//|/ }" -- "$2") ;;
    MODEL) _t5gemma2_models "$([[ ${command[*]} == *inspect ]] && echo '*.json')" "$2" ;;
    IMAGE) _t5gemma2_files '*.@(png|jpg|jpeg|bmp|gif|pbm|pgm|ppm|pnm|tga)' "$2" ;;
    REFERENCE) _t5gemma2_files '*.safetensors' "$2" ;;
    FILE) _t5gemma2_files '*' "$2" ;;
    FILE.*) _t5gemma2_files "*${1#FILE}" "$2" ;;
  esac
}

_t5gemma2() {
  COMPREPLY=()
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} flag value
  local -a command=("${COMP_WORDS[0]/#\~/$HOME}")
  if [[ ${command[0]##*/} == t5gemma2 ]]; then
    if ((COMP_CWORD == 1)) || [[ $COMP_CWORD == 2 && ${COMP_WORDS[1]} == help ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$(_t5gemma2_rows "${command[0]}") help" -- "$current")
      return
    fi
    command+=("${COMP_WORDS[1]}")
  fi
  # bash splits --flag=value into three words
  [[ $current != '=' ]] || current=
  [[ $before != '=' ]] || before=${COMP_WORDS[COMP_CWORD - 2]}
  current=${current#[\"\']}
  current=${current//\\/}

  local -A values=()
  local -a words=()
  while read -r flag value; do
    if [[ $flag == -* ]]; then values[$flag]=$value; else words+=("$flag"); fi
  done < <(_t5gemma2_rows "${command[@]}")
  value=${values[$before]-}
  if [[ -n $value ]]; then
    [[ $value == FILE && " ${COMP_WORDS[*]} " == *' --jsonl '* ]] && value=FILE.json*
    _t5gemma2_values "$value" "$current"
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${!values[*]}" -- "$current")
  else
    for value in "${words[@]}"; do _t5gemma2_values "$value" "$current"; done
  fi
}

complete -F _t5gemma2 t5gemma2 t5gemma2-{generate,score,embed,look,inspect,tokenize,preprocess,trace,compare,bench}
