#!/usr/bin/env bash
# Cross-compile for aarch64 and run tests under qemu-user: qemu_aarch64.sh PYTHON BUILD_DIR [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2" && dir=$(cd "$2" && pwd)
shift 2
export PATH="$(dirname "$python"):$PATH"

command -v dpkg > /dev/null || { echo "qemu_aarch64.sh needs packages of Debian: dpkg is not here" >&2; exit 1; }
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
if ! command -v aarch64-linux-gnu-g++ > /dev/null || ! command -v qemu-aarch64 > /dev/null; then
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends g++-aarch64-linux-gnu qemu-user > /dev/null
fi

# Debian's Python for aarch64, unpacked and not installed; python3.11 is that of Debian 12.
sysroot=$dir/sysroot version=3.11
if [ ! "$dir/.sysroot" -nt tools/qemu_aarch64.sh ]; then
  if ! dpkg --print-foreign-architectures | grep -q arm64; then
    "${root[@]}" dpkg --add-architecture arm64
    "${root[@]}" apt-get update -qq
  fi
  rm -rf "$sysroot" "$dir/packages" && mkdir -p "$sysroot" "$dir/packages"
  (
    cd "$dir/packages"
    libraries="libc6 libgcc-s1 libstdc++6 libexpat1 zlib1g libffi8 libssl3 libsqlite3-0 liblzma5 libbz2-1.0 libuuid1"
    for name in $libraries libpython$version-{minimal,stdlib,dev} python$version-minimal; do
      echo "$name:arm64"
    done | sort -u | xargs apt-get download -qq
    for package in *.deb; do dpkg -x "$package" "$sysroot"; done
  )
  "$python" -m pip download --quiet --no-deps --dest "$dir/packages" --python-version $version \
    --platform manylinux2014_aarch64 --only-binary=:all: numpy ml_dtypes gguf safetensors pytest pluggy iniconfig packaging pygments pyyaml
  mkdir -p "$sysroot/site"
  for wheel in "$dir"/packages/*.whl; do "$python" -m zipfile -e "$wheel" "$sysroot/site"; done
  touch "$dir/.sysroot"
fi

headers=$sysroot/usr/include
cmake -S . -B "$dir/build" -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  -DPython_EXECUTABLE="$python" -DPython_INCLUDE_DIR="$headers/python$version" -DPython_SOABI=cpython-${version/./}-aarch64-linux-gnu \
  -DNB_SUFFIX=.cpython-${version/./}-aarch64-linux-gnu.so -DCMAKE_CXX_FLAGS="-I$headers" > "$dir/configure.log" 2>&1 ||
  { cat "$dir/configure.log" >&2; exit 1; }
NINJA_STATUS='compiling %f/%t ' ninja -C "$dir/build" _native | "$python" tools/build_progress.py

rm -rf "$dir/site" && mkdir -p "$dir/site"
cp -r src/tallow "$dir/site/" && rm -f "$dir"/site/tallow/_native*.so && cp "$dir"/build/_native*.so "$dir/site/tallow/"
# What tests read is fetched by this machine's own Python: the emulated one has no pip.
"$python" -c 'from tallow import hub; [hub.resolve(model) for model in ("smollm2-135m", "minilm")]'
# Children that tests start are emulated too (tests/alone.py).
export TALLOW_EMULATOR=qemu-aarch64 QEMU_LD_PREFIX=$sysroot PYTHONPATH=$dir/site:$sysroot/site
said="" bad=0
for isa in ${ISAS:-baseline neon}; do
  printf '\033[1m· kernels of %s\033[0m\n' "$isa"
  TALLOW_ISA=$isa $TALLOW_EMULATOR "$sysroot/usr/bin/python$version" -m pytest -q -p no:cacheprovider "$@" |
    tee "$dir/$isa.log" || bad=1
  said="$said$isa: $(tail -n 1 "$dir/$isa.log")\n"
done
printf "\n$said"
exit $bad
