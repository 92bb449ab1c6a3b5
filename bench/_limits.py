"""What the machine can do at most: read bandwidth and float32 FMA peak, by a small C++ probe.

The probe shares no code with Tallow: it is compiled here, for this CPU, and run in a process of its
own. Bandwidth is the sum of 512 MB of floats read in order; the peak is 12 independent chains of
vector multiply-adds per thread, all in registers. With a file, the bandwidth of reading that file
where it is mapped, from the page cache, comes with it: small pages, and none of them written.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from _common import call, last_json

SOURCE = r"""
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float vf __attribute__((vector_size(kLanes * 4)));

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F>
static double best(int threads, int times, F work) {
  double least = 1e9;
  for (int i = 0; i < times; ++i) {
    double begin = now();
    std::vector<std::thread> pool;
    for (int t = 1; t < threads; ++t) pool.emplace_back(work, t);
    work(0);
    for (auto& thread : pool) thread.join();
    least = std::min(least, now() - begin);
  }
  return least;
}

// Seconds in which the threads read that many vectors, each a range of its own.
static double reading(int threads, const vf* memory, long vectors, vf* sink) {
  return best(threads, 7, [=](int t) {
    vf s[8] = {};
    const long begin = vectors / threads * t / 8 * 8, end = vectors / threads * (t + 1) / 8 * 8;
    for (long i = begin; i < end; i += 8)
      for (int j = 0; j < 8; ++j) s[j] += memory[i + j];
    for (int j = 0; j < 8; ++j) sink[t * 16] += s[j];
  });
}

int main(int count, char** argv) {
  const int threads = std::atoi(argv[1]);
  const long vectors = (512l << 20) / sizeof(vf);
  std::vector<vf> memory(vectors, vf{} + 1.f);
  std::vector<vf> sink(threads * 16);
  const double read = reading(threads, memory.data(), vectors, sink.data());
  struct stat about = {};
  double mapped = 0;
  if (count > 2) {
    const int file = open(argv[2], O_RDONLY);
    if (file < 0 || fstat(file, &about)) return 1;
    void* at = mmap(nullptr, about.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) return 1;
    const long held = about.st_size / sizeof(vf);
    mapped = held * sizeof(vf) / reading(threads, static_cast<const vf*>(at), held, sink.data());
  }
  const long steps = 20000000;
  double fma = best(threads, 5, [&](int t) {
    vf a[12], x = vf{} + 1.0001f, y = vf{} + 1e-3f;
    for (int j = 0; j < 12; ++j) a[j] = vf{} + float(j);
    for (long i = 0; i < steps; ++i) {
#pragma GCC unroll 12
      for (int j = 0; j < 12; ++j) a[j] = a[j] * x + y;
      asm volatile("" : "+x"(x), "+x"(y));
    }
    for (int j = 0; j < 12; ++j) sink[t * 16] += a[j];
  });
  volatile float keep = sink[0][0];
  (void)keep;
  std::printf("{\"read_bytes_per_s\": %.6g, \"flops_per_s\": %.6g", 512.0 * (1 << 20) / read,
              2.0 * 12 * kLanes * steps * threads / fma);
  if (count > 2) std::printf(", \"mapped_bytes_per_s\": %.6g", mapped);
  std::puts("}");
}
"""


@cache
def _probe(folder: Path, march: str) -> Path | None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    name = "limits" if march == "native" else f"limits-{march}"
    source, program = folder / f"{name}.cpp", folder / name
    if not program.exists() or not source.exists() or source.read_text() != SOURCE:
        source.write_text(SOURCE)
        flags = ["-std=c++20", "-O3", f"-march={march}", "-ffp-contract=fast", "-pthread"]
        subprocess.run([compiler, *flags, str(source), "-o", str(program)], check=True)
    return program


def limits(
    folder: Path, threads: int, march: str = "native", mapped: Path | None = None
) -> dict[str, float] | None:
    """`read_bytes_per_s` and `flops_per_s` of that many threads; None without a compiler.

    `march` is the instruction set of the probe, as the compiler names it; with the path of a
    `mapped` file there is `mapped_bytes_per_s`, too.
    """
    program = _probe(folder, march)
    if program is None:
        return None
    file = [] if mapped is None else [str(mapped)]
    found: dict[str, float] = last_json(call([str(program), str(threads), *file]))
    return found
