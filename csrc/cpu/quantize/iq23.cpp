// Packing IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS and IQ3_S: magnitudes on a codebook, signs apart, scales
// of 4 bits for 16 or 32 elements.
#include "../../core/grids.h"
#include "grid_search.h"

namespace tl::TL_ISA {
namespace {

struct Magnitudes {
  float x[kBlockSize];
  uint8_t sign[32];  // bit i of byte k: element 8·k + i
};

// Where 7 of 8 signs are stored, an even number of them is negative: the element that costs least
// keeps the wrong sign, as a negative magnitude.
void take_signs(const float* x, const float* w, bool even, Magnitudes& to) {
  for (int k = 0; k < 32; ++k, x += 8, w += 8) {
    int sign = 0, cheapest = 0;
    for (int i = 0; i < 8; ++i) {
      to.x[8 * k + i] = __builtin_fabsf(x[i]);
      sign |= (x[i] < 0) << i;
      if (w[i] * __builtin_fabsf(x[i]) < w[cheapest] * __builtin_fabsf(x[cheapest])) cheapest = i;
    }
    if (even && __builtin_popcount(static_cast<unsigned>(sign)) % 2) {
      sign ^= 1 << cheapest;
      to.x[8 * k + cheapest] *= -1;
    }
    to.sign[k] = static_cast<uint8_t>(sign);
  }
}

template <int kSubs>
struct Packed {
  float d = 0;
  int k[kSubs] = {};        // scale of a sub-block: d·(2k + 1) / kParts
  uint16_t index[64] = {};  // points, in order
  uint8_t sign[32] = {};
};

// kSubs sub-blocks; `parts`: see Packed; `typical`: the size of a point's values.
template <int kSubs>
bool pack_grid_block(const float* x, const float* w, const Codebook& book, const Values& values,
                     const UniformLevels& levels, bool even_signs, float parts,
                     Packed<kSubs>& out) {
  constexpr int n = kBlockSize / kSubs;
  float peak = max_abs(x, kBlockSize);
  if (peak > kLargest) return false;
  Magnitudes m;
  take_signs(x, w, even_signs, m);
  memcpy(out.sign, m.sign, 32);
  if (peak < kSmallest) return true;
  int groups = n / book.size;
  auto sub = [&](int j) { return GridSubBlock{&book, &values, m.x + n * j, w + n * j, groups}; };
  uint16_t index[64] = {};
  Scale s[kSubs];
  for (int j = 0; j < kSubs; ++j) s[j] = fit_grid_scale(sub(j), levels, index + groups * j);
  float d = fit_unit<kSubs, true>(s, 1, 31) * parts, best_error = 3e38f;
  for (int round = 0; round < 2; ++round) {
    if (!fits_half(d)) return round > 0;
    d = half_scale(d);
    float unit = d / parts, error = 0, xq = 0, qq = 0;
    int k[kSubs];
    for (int j = 0; j < kSubs; ++j) {
      uint16_t* points = index + groups * j;
      float least = 3e38f;
      ScaleRange range = scale_range(s[j].value, unit, 15);
      uint16_t trial[8], kept[8];
      for (int i = range.first; i <= range.last; ++i) {
        memcpy(trial, points, sizeof trial);
        float left = choose_points(sub(j), unit * static_cast<float>(2 * i + 1), trial);
        if (left < least) least = left, k[j] = i, memcpy(kept, trial, sizeof kept);
      }
      memcpy(points, kept, static_cast<size_t>(groups) * 2);
      error += least;
      Scale refit = refit_scale(sub(j), points);
      float odd = static_cast<float>(2 * k[j] + 1);
      xq += odd * refit.value * refit.curve;
      qq += odd * odd * refit.curve;
    }
    if (!(error < best_error)) break;
    best_error = error, out.d = d;
    memcpy(out.k, k, sizeof k);
    memcpy(out.index, index, sizeof index);
    if (qq > 0) d = xq / qq * parts;
  }
  return true;
}

constexpr Values kIq2Values(kIq2Levels, 8, 0), kIq3xxsValues(kIq3xxsLevels, 4, 0),
    kIq3sValues(kIq3sLevels, 4, 0);
constexpr UniformLevels kIq2Levels{8, 17.5f, 43, 24}, kIq3xxsLevels{4, 8, 60, 30},
    kIq3sLevels{1, 2, 15, 7.5f};

TL_INLINE void put_word(uint8_t* to, uint32_t x) { memcpy(to, &x, 4); }
TL_INLINE void put_short(uint8_t* to, int x) {
  uint16_t s = static_cast<uint16_t>(x);
  memcpy(to, &s, 2);
}
// Four times 7 signs, and the scale above.
TL_INLINE uint32_t signs_and_scale(const uint8_t* sign, int k) {
  uint32_t word = static_cast<uint32_t>(k) << 28;
  for (int i = 0; i < 4; ++i) word |= static_cast<uint32_t>(sign[i] & 127) << 7 * i;
  return word;
}

// f16 d; for each 32 elements four bytes of points, and a word of signs and scale.
bool pack_iq2_xxs(const float* x, const float* w, uint8_t* to) {
  Packed<8> b;
  if (!pack_grid_block(x, w, kIq2xxsBook, kIq2Values, kIq2Levels, true, 8, b)) return false;
  for (int j = 0; j < 8; ++j) {
    for (int i = 0; i < 4; ++i) to[2 + 8 * j + i] = static_cast<uint8_t>(b.index[4 * j + i]);
    put_word(to + 6 + 8 * j, signs_and_scale(b.sign + 4 * j, b.k[j]));
  }
  return put_half(to, b.d);
}

// f16 d, 32 shorts of point and 7 signs, 8 bytes of two scales.
bool pack_iq2_xs(const float* x, const float* w, uint8_t* to) {
  Packed<16> b;
  if (!pack_grid_block(x, w, kIq2xsBook, kIq2Values, kIq2Levels, true, 8, b)) return false;
  for (int i = 0; i < 32; ++i) put_short(to + 2 + 2 * i, b.index[i] | (b.sign[i] & 127) << 9);
  for (int j = 0; j < 8; ++j) to[66 + j] = static_cast<uint8_t>(b.k[2 * j] | b.k[2 * j + 1] << 4);
  return put_half(to, b.d);
}

// f16 d, 32 low bytes of points, 32 bytes of signs, 8 bytes of their high pairs, 8 of two scales.
bool pack_iq2_s(const float* x, const float* w, uint8_t* to) {
  Packed<16> b;
  if (!pack_grid_block(x, w, kIq2sBook, kIq2Values, kIq2Levels, false, 8, b)) return false;
  memcpy(to + 34, b.sign, 32);
  for (int j = 0; j < 8; ++j) {
    int high = 0;
    for (int i = 0; i < 4; ++i) {
      to[2 + 4 * j + i] = static_cast<uint8_t>(b.index[4 * j + i]);
      high |= b.index[4 * j + i] >> 8 << 2 * i;
    }
    to[66 + j] = static_cast<uint8_t>(high);
    to[74 + j] = static_cast<uint8_t>(b.k[2 * j] | b.k[2 * j + 1] << 4);
  }
  return put_half(to, b.d);
}

// f16 d, 64 bytes of points, 8 words of signs and scale.
bool pack_iq3_xxs(const float* x, const float* w, uint8_t* to) {
  Packed<8> b;
  if (!pack_grid_block(x, w, kIq3xxsBook, kIq3xxsValues, kIq3xxsLevels, true, 4, b)) return false;
  for (int i = 0; i < 64; ++i) to[2 + i] = static_cast<uint8_t>(b.index[i]);
  for (int j = 0; j < 8; ++j) put_word(to + 66 + 4 * j, signs_and_scale(b.sign + 4 * j, b.k[j]));
  return put_half(to, b.d);
}

// f16 d, 64 low bytes of points, 8 bytes of their ninth bits, 32 bytes of signs, 4 of two scales.
bool pack_iq3_s(const float* x, const float* w, uint8_t* to) {
  Packed<8> b;
  if (!pack_grid_block(x, w, kIq3sBook, kIq3sValues, kIq3sLevels, false, 1, b)) return false;
  for (int j = 0; j < 8; ++j) {
    int high = 0;
    for (int i = 0; i < 8; ++i) {
      to[2 + 8 * j + i] = static_cast<uint8_t>(b.index[8 * j + i]);
      high |= b.index[8 * j + i] >> 8 << i;
    }
    to[66 + j] = static_cast<uint8_t>(high);
  }
  memcpy(to + 74, b.sign, 32);
  for (int j = 0; j < 4; ++j) to[106 + j] = static_cast<uint8_t>(b.k[2 * j] | b.k[2 * j + 1] << 4);
  return put_half(to, b.d);
}

}  // namespace

PackBlock grid_packer(DType dtype) {
  switch (dtype) {
    case DType::iq2_xxs:
      return pack_iq2_xxs;
    case DType::iq2_xs:
      return pack_iq2_xs;
    case DType::iq2_s:
      return pack_iq2_s;
    case DType::iq3_xxs:
      return pack_iq3_xxs;
    case DType::iq3_s:
      return pack_iq3_s;
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
