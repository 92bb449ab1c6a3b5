#!/usr/bin/env bash
# Time a clean build of the extension and a rebuild after each kernel file: time_build.sh PYTHON [kernel.cpp...]
# The seconds of processor time beside the wall clock stay comparable when the machine has other work.
set -euo pipefail
cd "$(dirname "$0")/.."
build=(tools/build.sh "$1" build/timed -DTALLOW_INPLACE=OFF)
shift
kernels=("$@")
[ $# -gt 0 ] || kernels=(csrc/cpu/*.cpp)
rm -rf build/timed
trap 'rm -rf build/timed' EXIT
mkdir -p build
TIMEFORMAT='%R %U %S'

timed() {
  { time TARGETS=_native "${build[@]}" &> build/timed.log; } 2> build/timed.seconds || { cat build/timed.log >&2; exit 1; }
  awk -v what="$1" '{ printf "%-44s %6.1f s  (%6.1f s of processor)\n", what, $1, $2 + $3 }' build/timed.seconds
}

timed "clean build, $(nproc) cores"
timed "nothing changed"
for kernel in "${kernels[@]}"; do
  rm -f build/timed/CMakeFiles/tallow_cpu_*.dir/"$kernel".o
  timed "after a change of $kernel"
done
