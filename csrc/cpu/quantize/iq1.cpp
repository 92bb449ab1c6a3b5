// Packing IQ1_S and IQ1_M: groups of 8 on a codebook of -1, 0, 1, shifted up or down by 1/8; scales
// of 3 bits.
#include "../../core/grids.h"
#include "grid_search.h"

namespace tl::TL_ISA {
namespace {

constexpr float kShift = 0.125f;
constexpr UniformLevels kLevels{-1, 1, 1, 0.9f};

constexpr Values kUp(kIq1Levels, 8, kShift), kDown(kIq1Levels, 8, -kShift);

TL_INLINE const Values& shifted(bool down) { return down ? kDown : kUp; }

// Scale d·(2k + 1) per sub-block; points and shifts per group of 8.
struct Packed {
  float d = 0;
  int k[16] = {};
  uint16_t index[32] = {};
  bool down[32] = {};
};

// A sub-block's points and shifts under a scale. IQ1_S has one shift for the whole sub-block, IQ1_M
// one for each group. Returns the error.
template <bool kShared>
float choose_shifts(const float* x, const float* w, int groups, float s, uint16_t* index,
                    bool* down) {
  uint16_t trial[2][4];
  float error[2][4], total[2] = {};
  for (int side = 0; side < 2; ++side) {
    for (int g = 0; g < groups; ++g) {
      float limit = kShared || side == 0 ? 3e38f : error[0][g];
      Point p = nearest_point(kIq1sBook, shifted(side), x + 8 * g, w + 8 * g, s, index[g], limit);
      trial[side][g] = static_cast<uint16_t>(p.index);
      error[side][g] = p.error;
      total[side] += p.error;
      if (kShared && side && total[1] >= total[0]) break;
    }
  }
  float sum = 0;
  for (int g = 0; g < groups; ++g) {
    down[g] = kShared ? total[1] < total[0] : error[1][g] < error[0][g];
    index[g] = trial[down[g]][g];
    sum += error[down[g]][g];
  }
  return sum;
}

TL_INLINE Scale refit_shifted(const float* x, const float* w, int groups, const uint16_t* index,
                              const bool* down) {
  float xq = 0, qq = 0;
  for (int g = 0; g < groups; ++g)
    add_products(kIq1sBook, shifted(down[g]), x + 8 * g, w + 8 * g, index[g], &xq, &qq);
  return qq > 0 && xq > 0 ? Scale{xq / qq, qq} : Scale{};
}

template <bool kShared>
Scale fit_shifted(const float* x, const float* w, int groups, uint16_t* index) {
  Scale start = fit_levels(x, w, 8 * groups, kLevels), best;
  memset(index, 0, static_cast<size_t>(groups) * 2);
  if (!(start.value > 0)) return best;
  float best_score = 0;
  uint16_t trial[4] = {};
  auto look = [&](float s) {
    bool down[4];
    choose_shifts<kShared>(x, w, groups, s, trial, down);
    Scale refit = refit_shifted(x, w, groups, trial, down);
    float score = refit.value * refit.value * refit.curve;
    if (!(score > best_score * 1.0001f)) return false;
    best_score = score, best = refit;
    memcpy(index, trial, static_cast<size_t>(groups) * 2);
    return true;
  };
  look(start.value);
  if constexpr (kShared) {  // with shifts for each group a second look gains too little
    memcpy(trial, index, static_cast<size_t>(groups) * 2);
    look(best.value);
  }
  return best;
}

template <bool kShared, int kSubs>
bool pack_shifted(const float* x, const float* w, Packed& out) {
  constexpr int n = kBlockSize / kSubs, groups = n / 8;
  float peak = max_abs(x, kBlockSize);
  if (peak > kLargest) return false;
  if (peak < kSmallest) return true;
  uint16_t index[32];
  bool down[32];
  Scale s[kSubs];
  for (int j = 0; j < kSubs; ++j)
    s[j] = fit_shifted<kShared>(x + n * j, w + n * j, groups, index + groups * j);
  float d = fit_unit<kSubs, true>(s, 1, 15), best_error = 3e38f;
  for (int round = 0; round < 2; ++round) {
    if (!fits_half(d)) return round > 0;
    d = half_scale(d);
    float error = 0, xq = 0, qq = 0;
    int k[16] = {};
    for (int j = 0; j < kSubs; ++j) {
      const float *xs = x + n * j, *ws = w + n * j;
      uint16_t* points = index + groups * j;
      float least = 3e38f;
      ScaleRange range = scale_range(s[j].value, d, 7, kShared ? 0.4f : 0.5f);
      uint16_t trial[4], kept[4];
      bool side[4];
      for (int i = range.first; i <= range.last; ++i) {
        memcpy(trial, points, static_cast<size_t>(groups) * 2);
        float left =
            choose_shifts<kShared>(xs, ws, groups, d * static_cast<float>(2 * i + 1), trial, side);
        if (!(left < least)) continue;
        least = left, k[j] = i;
        memcpy(kept, trial, sizeof kept);
        memcpy(down + groups * j, side, static_cast<size_t>(groups));
      }
      memcpy(points, kept, static_cast<size_t>(groups) * 2);
      error += least;
      Scale refit = refit_shifted(xs, ws, groups, points, down + groups * j);
      float odd = static_cast<float>(2 * k[j] + 1);
      xq += odd * refit.value * refit.curve;
      qq += odd * odd * refit.curve;
    }
    if (!(error < best_error)) break;
    best_error = error, out.d = d;
    memcpy(out.k, k, sizeof k);
    memcpy(out.index, index, sizeof index);
    memcpy(out.down, down, sizeof down);
    if (qq > 0) d = xq / qq;
  }
  return true;
}

// f16 d, 32 low bytes of points, 8 shorts: four times three high bits, scale, shift.
bool pack_iq1_s(const float* x, const float* w, uint8_t* to) {
  Packed b;
  if (!pack_shifted<true, 8>(x, w, b)) return false;
  for (int j = 0; j < 8; ++j) {
    int high = b.k[j] << 12 | b.down[4 * j] << 15;
    for (int i = 0; i < 4; ++i) {
      to[2 + 4 * j + i] = static_cast<uint8_t>(b.index[4 * j + i]);
      high |= b.index[4 * j + i] >> 8 << 3 * i;
    }
    uint16_t bits = static_cast<uint16_t>(high);
    memcpy(to + 34 + 2 * j, &bits, 2);
  }
  return put_half(to, b.d);
}

// 32 low bytes of points, 16 bytes of two times three high bits and shift, 4 shorts: four scales,
// and above them four bits of the f16 d.
bool pack_iq1_m(const float* x, const float* w, uint8_t* to) {
  Packed b;
  if (!pack_shifted<false, 16>(x, w, b)) return false;
  for (int i = 0; i < 32; ++i) to[i] = static_cast<uint8_t>(b.index[i]);
  for (int i = 0; i < 16; ++i) {
    int low = b.index[2 * i] >> 8 | b.down[2 * i] << 3;
    int high = b.index[2 * i + 1] >> 8 | b.down[2 * i + 1] << 3;
    to[32 + i] = static_cast<uint8_t>(low | high << 4);
  }
  int d = to_f16(b.d).bits;
  for (int j = 0; j < 4; ++j) {
    int word = (d >> 4 * j & 15) << 12;
    for (int i = 0; i < 4; ++i) word |= b.k[4 * j + i] << 3 * i;
    uint16_t bits = static_cast<uint16_t>(word);
    memcpy(to + 48 + 2 * j, &bits, 2);
  }
  return true;
}

}  // namespace

PackBlock ternary_grid_packer(DType dtype) {
  return dtype == DType::iq1_s ? pack_iq1_s : dtype == DType::iq1_m ? pack_iq1_m : nullptr;
}

}  // namespace tl::TL_ISA
