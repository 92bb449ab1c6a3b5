// Block formats to floats ("dequantize"), bit-equal to the gguf package.
#include "../core/kernel.h"
#include "../core/parallel.h"
#include "quant_blocks.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kGrain = 16384;  // elements: some 10 µs

const char* dequantize(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (!x.contiguous() || !out.contiguous()) return "dequantize: operands must be contiguous";
  if (x.size() != out.size()) return "dequantize: sizes differ";
  bool known = false;
  with_float(out.dtype, [&]<class To>(To) {
    To* to = out.ptr<To>();
    // fill(first, n, floats) unpacks n elements from `first` on; both are multiples of 256 but for
    // the end.
    auto walk = [&](auto fill) {
      known = true;
      parallel_for((x.size() + 255) / 256, kGrain / 256, [&](int64_t begin, int64_t end, int) {
        int64_t last = end * 256 < x.size() ? end * 256 : x.size();
        if constexpr (__is_same(To, float)) {
          fill(begin * 256, last - begin * 256, to + begin * 256);
        } else {
          float buffer[256];
          for (int64_t i = begin * 256; i < last; i += 256) {
            int64_t n = last - i < 256 ? last - i : 256, j = 0;
            fill(i, n, buffer);
            for (; j + kLanes <= n; j += kLanes) store(to + i + j, load(buffer + j));
            for (; j < n; ++j) to[i + j] = from_float<To>(buffer[j]);
          }
        }
      });
    };
    if (const BlockFormat* format = block_format(x.dtype)) {
      const int block = block_of(x.dtype), bytes = bytes_of(x.dtype);
      walk([&](int64_t first, int64_t n, float* floats) {
        format->floats(x.ptr<const uint8_t>() + first / block * bytes, n / block, floats);
      });
      return;
    }
    with_float(x.dtype, [&]<class From>(From) {
      walk([&](int64_t first, int64_t n, float* floats) {
        for (int64_t i = 0; i < n; ++i) floats[i] = to_float(x.ptr<const From>()[first + i]);
      });
    });
  });
  return known ? nullptr : "dequantize: no kernel for these dtypes";
}

}  // namespace

void register_quant(KernelTable& t);
void register_interleaved(KernelTable& t);
void register_quant(KernelTable& t) {
  t.add("dequantize", "out:out x:in", dequantize);
  register_interleaved(t);
}

}  // namespace tl::TL_ISA
