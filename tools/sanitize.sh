#!/usr/bin/env bash
# Run the tests on a copy built with a sanitizer: [SANITIZER=thread] sanitize.sh PYTHON BUILD_DIR [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
kinds=${SANITIZER:-address,undefined}
dir=$2/${kinds//,/-}
shift 2

TALLOW_WERROR=OFF tools/build.sh "$python" "$dir" -DTALLOW_INPLACE=OFF -DTALLOW_SANITIZE="$kinds" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}
export TSAN_OPTIONS=exitcode=66:allocator_may_return_null=1:max_allocation_size_mb=6144:second_deadlock_stack=1:die_after_fork=0:suppressions=$PWD/tools/tsan_suppressions.txt:${TSAN_OPTIONS:-}
for program in tallow_ctest tallow_pooltest_futex tallow_pooltest_portable; do
  if [ -x "$dir/$program" ]; then "$dir/$program"; fi
done

# The package beside its sanitized library, ahead of the source tree on the path.
rm -rf "$dir/site" && mkdir -p "$dir/site"
cp -r src/tallow "$dir/site/" && rm -f "$dir"/site/tallow/_native*.so && cp "$dir"/_native*.so "$dir/site/tallow/"

# python itself is not sanitized, so the run-time library is loaded ahead of it; what python keeps until its end is no leak.
library=asan
case $kinds in *thread*) library=tsan ;; esac
export LD_PRELOAD="$(${CXX:-g++} -print-file-name=lib$library.so) $(${CXX:-g++} -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=6144:${ASAN_OPTIONS:-}
# numpy's own threads are not compiled for the thread sanitizer.
export OPENBLAS_NUM_THREADS=1
# Descriptor 2 stays open to the terminal: a report is written there just before the process dies.
PYTHONPATH="$dir/site" exec "$python" -m pytest -p no:cacheprovider --capture=sys "$@"
