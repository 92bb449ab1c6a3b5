#!/usr/bin/env bash
# Run tests on the AVX-512 kernels compiled to narrower vectors: lowered.sh PYTHON BUILD_DIR [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 dir=$2
shift 2

TARGETS=_native tools/build.sh "$python" "$dir" -DTALLOW_INPLACE=OFF -DTALLOW_AVX512_LOWERED=ON
# The package beside this library, ahead of the source tree on the path.
rm -rf "$dir/site" && mkdir -p "$dir/site"
cp -r src/tallow "$dir/site/" && rm -f "$dir"/site/tallow/_native*.so && cp "$dir"/_native*.so "$dir/site/tallow/"
TALLOW_ISA=avx512 PYTHONPATH="$dir/site" exec "$python" -m pytest -q -p no:cacheprovider "$@"
