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
      scripts/requirements*.txt -type f ! -name '*.pyc' -print0 2>/dev/null |
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
