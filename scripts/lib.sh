# shellcheck shell=bash
# Shared by the scripts beside it. Sourced, never run.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
VENV=${ZOOCACHE_VENV:-$ROOT/.venv}
JOBS=${ZOOCACHE_JOBS:-$(nproc)}
export VENV JOBS
# The same source with the same flags is compiled once, in whatever build folder: paths below the
# root count as relative, and the folder that is noted in debug information does not count.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$ROOT} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

say() { printf '%s\n' "$*"; }
heading() { printf '\n==== %s ====\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# Runs a command as one check: check NAME COMMAND... Sets last_check to passed or failed, and
# check_failed to 1 if it failed; says so, and adds "NAME<TAB>passed" or "NAME<TAB>failed" to the
# file that ZOOCACHE_RESULTS names, from which scripts/test counts.
# Call it as a plain command: in a condition, errors inside the command would go unnoticed.
check_failed=0
check() {
  local name=$1 status=0
  shift
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  # shellcheck disable=SC2034  # read by the scripts that source this one
  if ((status == 0)); then last_check=passed; else last_check=failed check_failed=1; fi
  say "$name: $last_check"
  [[ -z ${ZOOCACHE_RESULTS:-} ]] || printf '%s\t%s\n' "$name" "$last_check" >>"$ZOOCACHE_RESULTS"
}

# sha256 of the contents and names of the files that the package is built from, and of what builds
# it.
sources_stamp() {
  {
    (cd "$ROOT" && find CMakeLists.txt pyproject.toml LICENSE README.md cmake include src python \
      scripts/requirements{-build,-demo,}.txt -type f ! -name '*.pyc' -print0 2>/dev/null |
      LC_ALL=C sort -z | xargs -0 sha256sum)
    c++ --version 2>/dev/null | head -1
    "$VENV/bin/python" -VV
  } | sha256sum | cut -d' ' -f1
}

# The extension module with AddressSanitizer and UBSan, in build/python-asan.
configure_python_asan() {
  (cd "$ROOT" && cmake -S . -B build/python-asan -G Ninja -DCMAKE_CXX_COMPILER=g++ \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1' \
    -DZOOCACHE_PYTHON=ON -DZOOCACHE_WERROR=ON -DZOOCACHE_SANITIZE=address,undefined \
    -DPython_EXECUTABLE="$VENV/bin/python" -DCMAKE_INSTALL_PREFIX="$ROOT/build/python-asan/site")
}

# Prints every CPython here that may do, a line for each real file.
interpreters() {
  local candidate
  for candidate in "$("$VENV/bin/python" -c 'import sys; print(sys._base_executable)')" \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python \
    /usr/bin/python3 /usr/{,local/}bin/python3.1[0-3]; do
    if [[ -x $candidate ]]; then readlink -f "$candidate"; fi
  done | awk '!seen[$0]++'
}

# Prints why an interpreter is left out, nothing if it is not.
unusable() { # interpreter
  "$1" - <<'PY' 2>/dev/null || echo "it does not run, or is too old"
import pathlib, platform, sys, sysconfig
if platform.python_implementation() != "CPython" or not (3, 10) <= sys.version_info[:2] <= (3, 13):
    print("not CPython 3.10 to 3.13")
elif not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists():
    print("without headers")
else:
    try:
        import ensurepip
    except ImportError:
        print("without ensurepip")
PY
}

# Prints the wheel for an interpreter's minor version, which is built when there is none of these
# sources: optimised for .venv's version, and for all when ZOOCACHE_WHEELS is "release".
wheel_for() { # interpreter
  local minor folder stamp pip settings=(--config-settings=build-dir="$ROOT/build/wheels")
  minor=$("$1" -c 'import sys; print(sys.version_info[1])')
  folder=$ROOT/build/wheelhouse/$minor
  stamp="$(sources_stamp) ${ZOOCACHE_WHEELS:-}"
  if [[ $(cat "$folder/stamp" 2>/dev/null) != "$stamp" ]]; then
    # One build folder for all, each time empty: what knows nothing of Python is compiled once with
    # ccache. As deep below the root as the one of scripts/setup, whose objects fit, too.
    rm -rf "$folder" "$ROOT/build/wheels"
    mkdir -p "$folder"
    if [[ $minor == "$("$VENV/bin/python" -c 'import sys; print(sys.version_info[1])')" ]]; then
      pip=$VENV/bin/pip settings+=(--no-build-isolation)
    else
      "$1" -m venv "$folder/pip" >&2
      pip=$folder/pip/bin/pip
      [[ ${ZOOCACHE_WHEELS:-} == release ]] || settings+=(--config-settings=cmake.build-type=Debug
        --config-settings=cmake.define.CMAKE_CXX_FLAGS_DEBUG=-O0)
    fi
    PATH="$VENV/bin:$PATH" "$pip" wheel -q --no-deps "${settings[@]}" -w "$folder" "$ROOT" >&2
    rm -rf "$folder/pip"
    printf '%s\n' "$stamp" >"$folder/stamp"
  fi
  printf '%s\n' "$folder"/*.whl
}
