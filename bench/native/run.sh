#!/usr/bin/env bash
# Builds the linear and matmul kernels of one ISA and checks or measures them: run.sh check|bench [baseline|avx2] [dtype…]
# SANITIZE=address,undefined run.sh check avx2 quick: the same under sanitizers.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=$1 isa=${2:-avx2} out=build/native
shift $(($# < 2 ? $# : 2))
flags=(-std=c++20 -O3 -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math -Wall -Wextra -Icsrc -Ibench/native "-DTL_ISA=$isa")
if [ "$isa" = avx2 ]; then flags+=(-mavx2 -mfma -mf16c -mbmi2); fi
if [ -n "${SANITIZE:-}" ]; then
  out=$out/sanitized
  flags+=("-fsanitize=$SANITIZE" -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g1)
fi
mkdir -p $out
sources=(csrc/core/{alloc,array,grids,kernel,parallel}.cpp csrc/cpu/{linear,linear_float,matmul,quant}.cpp csrc/cpu/blocks/*.cpp "bench/native/${what}_linear.cpp")
for source in "${sources[@]}"; do
  object=$out/$(basename "$source" .cpp).$isa.o
  # What a compile read stands in the .d file beside its object.
  if [ -f "${object%.o}.d" ] && ! find $(sed 's/^[^:]*://; s/\\$//' "${object%.o}.d") -newer "$object" 2> /dev/null | grep -q .; then continue; fi
  echo "g++ ${flags[*]} -MMD -c $source -o $object"
done | xargs -P "$(nproc)" -I{} bash -c '{}'
objects=()
for source in "${sources[@]}"; do objects+=("$out/$(basename "$source" .cpp).$isa.o"); done
g++ ${SANITIZE:+-fsanitize=$SANITIZE} "${objects[@]}" -lpthread -o "$out/$what.$isa"
exec "$out/$what.$isa" "$@"
