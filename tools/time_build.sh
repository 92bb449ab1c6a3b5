#!/usr/bin/env bash
# Time a clean build of the extension and a rebuild after one kernel file changed: time_build.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
dir=build/timed
rm -rf "$dir"

timed() {
  local start=$EPOCHREALTIME
  "${@:2}"
  awk -v a="$start" -v b="$EPOCHREALTIME" -v what="$1" 'BEGIN { printf "%-44s %6.1f s\n", what, b - a }'
}

build=(tools/build.sh "$1" "$dir" -DTALLOW_INPLACE=OFF)
timed "clean build, $(nproc) cores" "${build[@]}"
timed "nothing changed" "${build[@]}"
for kernel in csrc/cpu/*.cpp; do
  rm -f "$dir"/CMakeFiles/tallow_cpu_*.dir/"$kernel".o
  timed "after a change of $kernel" "${build[@]}"
done
rm -rf "$dir"
