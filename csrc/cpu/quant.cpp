// Block formats to floats ("dequantize") and floats to block formats ("quantize"), bit-equal to the
// gguf package.
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
    with_format(x.dtype,
                [&]<class F>(F) {
                  constexpr int kBlock = block_of(F::kDType);
                  walk([&](int64_t first, int64_t n, float* floats) {
                    unpack_blocks<F>(x.ptr<const uint8_t>() + first / kBlock * F::kBytes,
                                     n / kBlock, floats);
                  });
                }) ||
        with_float(x.dtype, [&]<class From>(From) {
          walk([&](int64_t first, int64_t n, float* floats) {
            for (int64_t i = 0; i < n; ++i) floats[i] = to_float(x.ptr<const From>()[first + i]);
          });
        });
  });
  return known ? nullptr : "dequantize: no kernel for these dtypes";
}

// The product as float arithmetic rounds it: the empty statement keeps the compiler from fusing it
// with an addition.
TL_INLINE float rounded(float x) {
  asm("" : "+m"(x));
  return x;
}
TL_INLINE void put_half(uint8_t* p, float x) {
  f16 h = to_f16(x);
  memcpy(p, &h, 2);
}
// Truncates into 0 … top; also when x is not finite.
TL_INLINE uint8_t clip(float x, int top) {
  return x > 0 ? (x < static_cast<float>(top) ? static_cast<uint8_t>(x) : static_cast<uint8_t>(top))
               : 0;
}

// Nibbles (and fifth bits at `high`, when given) of 32 values.
TL_INLINE void put_nibbles(const uint8_t* q, uint8_t* low, uint8_t* high) {
  for (int i = 0; i < 16; ++i) low[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
  if (!high) return;
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(q[i] >> 4) << i;
  memcpy(high, &bits, 4);
}

// Q4_0, Q5_0: the element farthest from zero becomes -2^(bits-1).
template <int kBits>
void encode_symmetric(const float* x, uint8_t* to) {
  constexpr int kHalf = 1 << (kBits - 1);
  float peak = x[0];
  for (int i = 1; i < 32; ++i) {
    if (__builtin_fabsf(x[i]) > __builtin_fabsf(peak)) peak = x[i];
  }
  float d = peak / -kHalf, inverse = d != 0 ? 1 / d : 0;
  uint8_t q[32];
  for (int i = 0; i < 32; ++i) q[i] = clip(rounded(x[i] * inverse) + (kHalf + 0.5f), 2 * kHalf - 1);
  put_half(to, d);
  put_nibbles(q, to + (kBits == 5 ? 6 : 2), kBits == 5 ? to + 2 : nullptr);
}

// Q4_1, Q5_1: from the least to the greatest element.
template <int kBits>
void encode_range(const float* x, uint8_t* to) {
  constexpr int kTop = (1 << kBits) - 1;
  float least = x[0], most = x[0];
  for (int i = 1; i < 32; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  float d = (most - least) / kTop, inverse = d != 0 ? 1 / d : 0;
  uint8_t q[32];
  for (int i = 0; i < 32; ++i) q[i] = clip(rounded((x[i] - least) * inverse) + 0.5f, kTop);
  put_half(to, d);
  put_half(to + 2, least);
  put_nibbles(q, to + (kBits == 5 ? 8 : 4), kBits == 5 ? to + 4 : nullptr);
}

void encode_q8_0(const float* x, uint8_t* to) {
  float peak = 0;
  for (int i = 0; i < 32; ++i) peak = __builtin_fabsf(x[i]) > peak ? __builtin_fabsf(x[i]) : peak;
  float d = peak / 127, inverse = d != 0 ? 1 / d : 0;
  put_half(to, d);
  for (int i = 0; i < 32; ++i) {
    // Halves go away from zero.
    float y = rounded(x[i] * inverse), size = __builtin_fabsf(y);
    int whole = clip(size, 127);
    if (size - static_cast<float>(whole) >= 0.5f && whole < 127) ++whole;
    to[2 + i] = static_cast<uint8_t>(y < 0 ? -whole : whole);
  }
}

const char* quantize(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (!x.contiguous() || !out.contiguous()) return "quantize: operands must be contiguous";
  if (x.size() != out.size()) return "quantize: sizes differ";
  if (x.dtype != DType::f32) return "quantize: x must be f32";
  void (*encode)(const float*, uint8_t*) = out.dtype == DType::q4_0   ? encode_symmetric<4>
                                           : out.dtype == DType::q4_1 ? encode_range<4>
                                           : out.dtype == DType::q5_0 ? encode_symmetric<5>
                                           : out.dtype == DType::q5_1 ? encode_range<5>
                                           : out.dtype == DType::q8_0 ? encode_q8_0
                                                                      : nullptr;
  if (!encode) return "quantize: no kernel for this dtype";
  int bytes = bytes_of(out.dtype);
  parallel_for(x.size() / 32, kGrain / 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      encode(x.ptr<const float>() + i * 32, out.ptr<uint8_t>() + i * bytes);
  });
  return nullptr;
}

}  // namespace

void register_quant(KernelTable& t);
void register_quant(KernelTable& t) {
  t.add("dequantize", "out:A x:A", dequantize);
  t.add("quantize", "out:A x:A", quantize);
}

}  // namespace tl::TL_ISA
