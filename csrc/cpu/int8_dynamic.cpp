// Floats as bytes with the scale and zero point that their range asks for: "quantize_dynamic".
#include "int8_problem.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kPiece = 8192;  // elements

// The least and the greatest element, zero among them; `bad` where one is no number.
struct Range {
  f32x8 low{}, high{};
  i32x8 bad{};

  TL_INLINE void take(f32x8 v) {
    low = min(v, low), high = max(v, high);
    bad |= v != v;
  }
  void take(const float* x, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) take(load_as<f32x8>(x + i));
    for (; i < n; ++i) take(x[i] - f32x8{});
  }
  void take(const Range& other) {
    low = min(other.low, low), high = max(other.high, high);
    bad |= other.bad;
  }
};

// As `ops/integer.py` says.
struct Rounding {
  float scale, zero;

  explicit Rounding(const Range& range) {
    const float low = least_lane(range.low), high = max_lane(range.high);
    const float nan = sum((f32x8)(range.bad & 0x7fc00000)), span = high - low + nan;
    scale = span == 0 ? 1 : span / 255;
    zero = clamped(-low / scale - f32x8{})[0];
  }
  // Nearest, halves to even: above 2^22 that is not what the additions do, but 255 as well.
  static TL_INLINE f32x8 nearest(f32x8 v) { return v + 12582912.f - 12582912.f; }
  static TL_INLINE f32x8 bounded(f32x8 v) { return min(max(v, f32x8{}), f32x8{} + 255); }
  static TL_INLINE f32x8 clamped(f32x8 v) { return bounded(nearest(v)); }
  TL_INLINE i32x8 of(f32x8 v) const { return round_to_int(bounded(nearest(v / scale) + zero)); }
  void write(const float* x, int64_t n, uint8_t* to) const {
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      i32x8 whole[4];
      for (int j = 0; j < 4; ++j) whole[j] = of(load_as<f32x8>(x + i + 8 * j)) - 128;
      store32(to + i, to_bytes(whole) ^ splat32(128));
    }
    for (; i < n; ++i) to[i] = static_cast<uint8_t>(of(x[i] - f32x8{})[0]);
  }
};

const char* quantize_dynamic(const Arg* args, int) {
  const View &out = *args[0].a, &scale = *args[1].a, &zero = *args[2].a, &x = *args[3].a;
  if (out.dtype != DType::u8 || scale.dtype != DType::f32 || zero.dtype != DType::u8 ||
      x.dtype != DType::f32 || scale.size() != 1 || zero.size() != 1 || x.size() != out.size() ||
      x.size() == 0)
    return "quantize_dynamic: expected f32 elements, as many of u8, and one scale and zero point";
  if (!out.contiguous() || !x.contiguous()) return "quantize_dynamic: operands must be contiguous";
  const int64_t n = x.size(), pieces = ceil_div(n, kPiece);
  const float* from = x.ptr<float>();
  Scratch memory(num_threads() * sizeof(Range) + 64);
  char* at = memory.as<char>();
  if (!at) return "quantize_dynamic: out of memory";
  auto* ranges = reinterpret_cast<Range*>(at + (64 - reinterpret_cast<uintptr_t>(at) % 64) % 64);
  for (int i = 0; i < num_threads(); ++i) ranges[i] = Range{};
  parallel_for(pieces, 2, [&](int64_t begin, int64_t end, int worker) {
    ranges[worker].take(from + begin * kPiece, min64(n, end * kPiece) - begin * kPiece);
  });
  for (int i = 1; i < num_threads(); ++i) ranges[0].take(ranges[i]);
  const Rounding rounding(ranges[0]);
  *scale.ptr<float>() = rounding.scale;
  *zero.ptr<uint8_t>() = static_cast<uint8_t>(rounding.zero);
  parallel_for(pieces, 2, [&](int64_t begin, int64_t end, int) {
    rounding.write(from + begin * kPiece, min64(n, end * kPiece) - begin * kPiece,
                   out.ptr<uint8_t>() + begin * kPiece);
  });
  return nullptr;
}

}  // namespace

void register_int8_dynamic(KernelTable& t);
void register_int8_dynamic(KernelTable& t) {
  t.add("quantize_dynamic", "out:out out_scale:out out_zero:out x:in", quantize_dynamic);
}

}  // namespace tl::TL_ISA
