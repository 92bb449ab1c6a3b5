// Packing IQ4_NL and IQ4_XS: 4 bits that stand for 16 unevenly spaced values.
#include "../../core/grids.h"
#include "super_block.h"

namespace tl::TL_ISA {
namespace {

// The nearest of the 16 values. Midpoints between them are multiples of 1/2, so the half step that
// y lies in decides.
struct RoundToCodebook {
  static constexpr float kLow = kIq4nlValues[0], kHigh = kIq4nlValues[15];
  static constexpr int kSteps = 2 * (kIq4nlValues[15] - kIq4nlValues[0]) + 1;
  struct Table {
    float value[kSteps];
    uint8_t code[kSteps];
  };
  static constexpr Table make() {
    Table t{};
    for (int i = 0, k = 0; i < kSteps; ++i) {
      while (k < 15 && i >= kIq4nlValues[k] + kIq4nlValues[k + 1] - 2 * kIq4nlValues[0]) ++k;
      t.value[i] = kIq4nlValues[k];
      t.code[i] = static_cast<uint8_t>(k);
    }
    return t;
  }
  static const Table kTable;

  static TL_INLINE vf round(vf y) {
    vi i = to_vi((clamp(y, kLow, kHigh) - splat(kLow)) * splat(2.f));
    return gather(kTable.value, i);
  }
  static TL_INLINE int code(float y) {
    y = y > kLow ? (y < kHigh ? y : kHigh) : kLow;
    return kTable.code[static_cast<int>((y - kLow) * 2)];
  }
};
constexpr RoundToCodebook::Table RoundToCodebook::kTable = RoundToCodebook::make();

TL_INLINE void put_halves(const uint8_t* code, uint8_t* to) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint8_t>(code[i] | code[i + 16] << 4);
}

// f16 d, 16 bytes of nibbles.
bool pack_iq4_nl(const float* x, const float* w, uint8_t* to) {
  if (max_abs(x, 32) > kLargest) return false;
  float d = half_scale(fit_scale<RoundToCodebook, 32>(x, w, 16).value);
  uint8_t code[32];
  for (int i = 0; i < 32; ++i)
    code[i] = static_cast<uint8_t>(RoundToCodebook::code(d != 0 ? x[i] / d : 0));
  put_halves(code, to + 2);
  return put_half(to, d);
}

// f16 d, high pairs and low nibbles of 8 six-bit scales, 128 bytes of nibbles.
bool pack_iq4_xs(const float* x, const float* w, uint8_t* to) {
  SuperBlock<8> b;
  if (!pack_super_block<RoundToCodebook>(x, w, -32, 31, 16, b)) return false;
  memset(to + 2, 0, 6);
  for (int j = 0; j < 8; ++j) {
    int l = b.l[j] + 32;
    to[2 + j / 4] |= static_cast<uint8_t>((l >> 4) << j % 4 * 2);
    to[4 + j / 2] |= static_cast<uint8_t>((l & 15) << j % 2 * 4);
    put_halves(b.code + 32 * j, to + 8 + 16 * j);
  }
  return put_half(to, b.d);
}

}  // namespace

PackBlock iq4_packer(DType dtype) {
  switch (dtype) {
    case DType::iq4_nl:
      return pack_iq4_nl;
    case DType::iq4_xs:
      return pack_iq4_xs;
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
