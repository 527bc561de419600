# Read by ./dev: what the machine must have, and how to get it.  Every check is local and takes
# milliseconds, so that a second call needs no network.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # build and torch_args are dev's

readonly kTorch="torch==2.13.0"
readonly kVocabulary="open_clip_torch==3.3.0"  # under the MIT licence, which is copied along

say() { printf '%s\n' "$*" >&2; }
fail() { say "dev: $*"; exit 1; }

# logged NAME COMMAND...: its output goes to build/log/NAME.log, and the end of it here if it fails.
logged() {
  local log="$build/log/$1.log"
  shift
  mkdir -p "$build/log"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    say "dev: '$1' failed; all of its output is in $log"
    return 1
  fi
}

# The command or header that shows, where there is no dpkg, that a package is there.
probe_of() {
  case $1 in
    g++) echo c++ ;;
    ninja-build) echo ninja ;;
    python3-venv) echo "import ensurepip, venv" ;;
    libboost-dev) echo boost/version.hpp ;;
    libboost-filesystem-dev) echo boost/filesystem.hpp ;;
    libboost-system-dev) echo boost/system/error_code.hpp ;;
    nlohmann-json3-dev) echo nlohmann/json.hpp ;;
    doctest-dev) echo doctest/doctest.h ;;
    libopenimageio-dev) echo OpenImageIO/imageio.h ;;
    libcli11-dev) echo CLI/CLI.hpp ;;
    libutf8proc-dev) echo utf8proc.h ;;
    libcurl4-openssl-dev) echo curl/curl.h ;;
    libssl-dev) echo openssl/evp.h ;;
    *) echo "$1" ;;
  esac
}

has_package() {
  local probe
  probe=$(probe_of "$1")
  case $probe in
    import*) python3 -c "$probe" 2>/dev/null ;;
    *.h | *.hpp)
      if command -v dpkg-query >/dev/null; then
        [[ $installed == *" $1 "* ]]
      else
        echo "#include <$probe>" | c++ -E -x c++ - >/dev/null 2>&1
      fi
      ;;
    *) command -v "$probe" >/dev/null ;;
  esac
}

# need_packages NAME...: installs what is missing, or says what that is and goes on.
need_packages() {
  local installed="" missing=() package
  if command -v dpkg-query >/dev/null; then
    # One call for all; a package that dpkg has never heard of is an error there, and no news here.
    installed=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' "$@" 2>/dev/null)" || true
    installed=${installed//:installed/}
  fi
  for package in "$@"; do
    has_package "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    say "dev: missing: ${missing[*]} (Debian's names; not root on Debian, so going on without)"
    return 0
  fi
  say "Installing ${missing[*]} ..."
  logged apt-update apt-get -qq update || say "dev: going on with the package lists that are there"
  DEBIAN_FRONTEND=noninteractive logged apt-install \
    apt-get -qq -y --no-install-recommends install "${missing[@]}" ||
    fail "could not install ${missing[*]}"
}

need_build_packages() {
  need_packages g++ cmake ninja-build ccache mold pkg-config python3-venv libboost-dev \
    libboost-filesystem-dev libboost-system-dev nlohmann-json3-dev doctest-dev \
    libopenimageio-dev libcli11-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev
}

# need_venv FOLDER REQUIREMENT...: a venv that holds exactly what was asked for last time.
need_venv() {
  local folder=$1 stamp="$1/.requirements"
  shift
  [[ -f $stamp && $(<"$stamp") == "$*" ]] && return 0
  say "Installing $* into $folder ..."
  rm -f "$stamp"
  logged "$(basename "$folder")" python3 -m venv "$folder" || fail "could not make a venv"
  logged "$(basename "$folder")-pip" "$folder/bin/python" -m pip install \
    --disable-pip-version-check --no-input "$@" || fail "could not install $*"
  printf '%s' "$*" >"$stamp"
}

# CLIP's vocabulary, so that single-file checkpoints need nothing besides.  A build without network
# goes on without it.
need_vocabulary() {
  local folder="$build/share/emulsion/tokenizer" package
  [[ -f $folder/vocab.json ]] && return 0
  if ! (need_venv "$build/venv-clip" --no-deps "$kVocabulary"); then
    say "dev: going on without CLIP's vocabulary: single-file models need a tokenizer beside them"
    return 0
  fi
  package=("$build"/venv-clip/lib/python3*/site-packages/open_clip)
  # shellcheck disable=SC2128  # one element
  python3 scripts/clip_vocabulary.py "$package" "$folder"
}

need_tools() {
  need_packages python3-venv
  need_venv "$build/venv-tools" ruff==0.17.5 jsonschema==4.26.0
}

# Sets torch_args, what CMake needs to find LibTorch.
need_torch() {
  torch_args=()
  local prefix prefixes=${CMAKE_PREFIX_PATH:-}
  if [[ -n ${Torch_DIR:-} ]]; then
    torch_args=("-DTorch_DIR=$Torch_DIR")
    return
  fi
  for prefix in ${prefixes//[;:]/ }; do
    [[ -f $prefix/share/cmake/Torch/TorchConfig.cmake ]] || continue
    torch_args=("-DTorch_DIR=$prefix/share/cmake/Torch")
    return
  done
  need_venv "$build/venv" "$kTorch"
  prefix=("$build"/venv/lib/python3*/site-packages/torch)
  # shellcheck disable=SC2128  # one element
  torch_args=("-DTorch_DIR=$prefix/share/cmake/Torch")
}
