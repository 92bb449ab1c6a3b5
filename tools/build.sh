#!/usr/bin/env bash
# Configure once, then compile what has changed: [TARGETS=…] build.sh PYTHON BUILD_DIR [cmake options]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") dir=$2
shift 2
bin=$(dirname "$python")
export PATH="$bin:$PATH"

options="-DTALLOW_INPLACE=ON -DTALLOW_BUILD_CAPI=ON -DTALLOW_WERROR=${TALLOW_WERROR:-${CI:+ON}} $*"
# A different set of options or another interpreter needs a new configuration; so does one that was interrupted.
wanted="$("$python" -c 'import sys; print(sys.version)') $python ${CXX:-} ${CXXFLAGS:-} $options"
if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir/.configured" 2> /dev/null)" != "$wanted" ]; then
  mkdir -p "$dir"
  rm -f "$dir/.configured" "$dir/CMakeCache.txt"
  source tools/python_headers.sh "$python"
  # shellcheck disable=SC2086  # options are words
  cmake -S . -B "$dir" -G Ninja -DPython_EXECUTABLE="$python" $options "${PYTHON_HEADER_OPTIONS[@]}" \
    > "$dir/configure.log" 2>&1 || { cat "$dir/configure.log" >&2; exit 1; }
  echo "$wanted" > "$dir/.configured"
fi
# Compiling takes minutes: it must be seen to go on.
# shellcheck disable=SC2086  # targets are words
NINJA_STATUS='compiling %f/%t ' ninja -C "$dir" ${TARGETS-} | "$python" tools/build_progress.py
