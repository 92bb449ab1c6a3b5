#!/usr/bin/env bash
# Builds the linear and matmul kernels of one ISA and checks or measures them: run.sh check|bench [baseline|avx2] [dtype…]
set -euo pipefail
cd "$(dirname "$0")/../.."
what=$1 isa=${2:-avx2} out=build/native
shift $(($# < 2 ? $# : 2))
flags=(-std=c++20 -O3 -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math -Wall -Wextra -Icsrc -Ibench/native "-DTL_ISA=$isa")
if [ "$isa" = avx2 ]; then flags+=(-mavx2 -mfma -mf16c -mbmi2); fi
mkdir -p $out
for source in csrc/core/{alloc,array,kernel,parallel}.cpp csrc/cpu/{linear*,matmul,quant}.cpp "bench/native/${what}_linear.cpp"; do
  echo "g++ ${flags[*]} -MMD -c $source -o $out/$(basename "$source" .cpp).$isa.o"
done | xargs -P "$(nproc)" -I{} bash -c '{}'
g++ $out/{alloc,array,kernel,parallel,linear*,matmul,quant,"${what}_linear"}."$isa.o" -lpthread -o "$out/$what.$isa"
exec "$out/$what.$isa" "$@"
