#!/usr/bin/env bash
# Build a manylinux wheel into dist/ and use it where no compiler is in reach: wheel.sh PYTHON VENV MODEL
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 bin=$PWD/$2/bin model=$3
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off

raw=build/wheel fresh=$PWD/build/wheel-venv
rm -rf "$raw" "$fresh" dist/*.whl
mkdir -p "$raw" dist
source tools/python_headers.sh "$bin/python"
export SKBUILD_CMAKE_ARGS CC CXX
# The commands of tools/build.sh, so that a compiler cache (.ci/run has one) need not compile everything twice.
CC=$(command -v "${CC:-cc}") CXX=$(command -v "${CXX:-c++}")
SKBUILD_CMAKE_ARGS=$(IFS=';'; echo "-DTALLOW_WERROR=${TALLOW_WERROR:-${CI:+ON}};${PYTHON_HEADER_OPTIONS[*]}")
PATH="$bin:$PATH" "$bin/python" -m pip wheel --quiet --quiet --no-deps --no-build-isolation --wheel-dir "$raw" .
PATH="$bin:$PATH" "$bin/auditwheel" --quiet repair --strip --wheel-dir dist "$raw"/*.whl 2> "$raw/auditwheel.log" ||
  PATH="$bin:$PATH" "$bin/auditwheel" repair --wheel-dir dist "$raw"/*.whl
wheel=$(echo dist/*.whl)
case $wheel in
  *manylinux*) ;;
  *) echo "not a manylinux wheel: $wheel" >&2 && exit 1 ;;
esac

"$python" -m venv "$fresh"
"$fresh/bin/python" -m pip install --quiet --quiet "$wheel[all]"
# From here on nothing but the new environment is on PATH, and the working directory holds no source tree.
cd "$fresh"
run() { env -u PYTHONPATH PATH="$fresh/bin" "$@"; }
run python - "$model" << 'PY'
import shutil, sys, time

for tool in ("cc", "c++", "gcc", "g++", "clang", "cmake", "ninja", "make"):
    assert shutil.which(tool) is None, tool
start = time.perf_counter()
import tallow

took = time.perf_counter() - start
assert "site-packages" in tallow.__file__, tallow.__file__
print(f"import tallow {tallow.__version__}: {took * 1e3:.0f} ms, from {tallow.__file__}")
PY
run tallow generate "$model" --prompt "The capital of France is" --max-tokens 8 --temperature 0 --json
run python -c 'from tallow.serve.table.app import _STATIC; assert (_STATIC / "page.html").is_file(), _STATIC'
bytes=$("$fresh/bin/python" -c 'import importlib.metadata as m; print(sum(f.locate().stat().st_size for f in m.files("tallow") if f.suffix != ".pyc"))')
compiled=$("$fresh/bin/python" -c 'import importlib.metadata as m; print(sum(f.locate().stat().st_size for f in m.files("tallow") if f.locate().exists()))')
cd - > /dev/null
mb() { printf '%s' "$(($1 / 10000))e-2"; }
printf '%s: %.2f MB, installed %.2f MB (%.2f MB with the bytecode that pip compiles)\n' \
  "$wheel" "$(mb "$(stat -c %s "$wheel")")" "$(mb "$bytes")" "$(mb "$compiled")"
# What is compiled, and all (docs/adr/0016-what-an-install-may-weigh.md).
native=$("$fresh/bin/python" -c 'import importlib.metadata as m; print(sum(f.locate().stat().st_size for f in m.files("tallow") if ".so" in f.name))')
check() {
  if [ "$2" -gt "$3" ]; then
    echo "the wheel's $1 take $2 bytes, more than $3: find what grew (docs/log.md)" >&2
    exit 1
  fi
}
check "libraries" "$native" 4700000
check "files" "$bytes" 12400000
