// Blocks whose groups have small integer scales in units of the block's float16 scale. All of it is
// chosen by the error it leaves: first each group's own best scale, then the unit that fits these
// best, then by turns the integers under that unit and the unit under these integers.
#pragma once
#include "search.h"

namespace tl::TL_ISA {

inline constexpr int kBlockSize = 256;
inline constexpr int kRounds = 3;

// x ≈ d · l[group] · q; `code` = q's index.
template <int kGroups>
struct SuperBlock {
  float d = 0;
  int l[kGroups] = {};
  uint8_t code[kBlockSize] = {};
};

// The best integers under the unit d, and the error they leave.
template <class R, int kGroups>
float choose_integers(const float* x, const float* w, const Scale* s, float d, int low, int high,
                      int* l) {
  constexpr int n = kBlockSize / kGroups;
  float total = 0;
  for (int j = 0; j < kGroups; ++j) {
    float ideal = d != 0 ? s[j].value / d : 0;
    ideal = ideal > static_cast<float>(low) ? ideal : static_cast<float>(low);
    ideal = ideal < static_cast<float>(high) ? ideal : static_cast<float>(high);
    float best_error = 3e38f;
    for (int i = 0; i < 8; i += kLanes) {
      vf steps = clamp(ramp(__builtin_floorf(ideal) + static_cast<float>(i - 3), 1),
                       static_cast<float>(low), static_cast<float>(high));
      vf error = scale_error<R, n>(x + n * j, w + n * j, splat(d) * steps);
      int lane = best_lane(vf{} - error);
      if (error[lane] < best_error) best_error = error[lane], l[j] = static_cast<int>(steps[lane]);
    }
    total += best_error;
  }
  return total;
}

// The unit that fits the integers and the elements rounded under them.
template <class R, int kGroups>
float refit_unit(const float* x, const float* w, float d, const int* l) {
  constexpr int n = kBlockSize / kGroups;
  vf xq{}, qq{};
  for (int j = 0; j < kGroups; ++j) {
    float s = d * static_cast<float>(l[j]);
    if (s == 0) continue;
    for (int i = n * j; i < n * j + n; i += kLanes) {
      vf q = R::round(load(x + i) / splat(s)) * splat(static_cast<float>(l[j])),
         wq = load(w + i) * q;
      xq += wq * load(x + i);
      qq += wq * q;
    }
  }
  float norm = sum(qq);
  return norm > 0 ? sum(xq) / norm : d;
}

template <class R, int kGroups>
bool pack_super_block(const float* x, const float* w, int low, int high, int tries,
                      SuperBlock<kGroups>& out) {
  constexpr int n = kBlockSize / kGroups;
  if (max_abs(x, kBlockSize) > kLargest) return false;
  Scale s[kGroups];
  for (int j = 0; j < kGroups; ++j) s[j] = fit_scale<R, n>(x + n * j, w + n * j, tries);
  float d = fit_unit<kGroups>(s, low, high), best_error = 3e38f;
  if (!fits_half(d)) return false;
  for (int round = 0; round < kRounds; ++round) {
    d = half_scale(d);
    int l[kGroups];
    float error = choose_integers<R, kGroups>(x, w, s, d, low, high, l);
    if (!(error < best_error)) break;
    best_error = error, out.d = d;
    for (int j = 0; j < kGroups; ++j) out.l[j] = l[j];
    d = refit_unit<R, kGroups>(x, w, d, l);
    if (!fits_half(d)) break;
  }
  for (int i = 0; i < kBlockSize; ++i) {
    float scale = out.d * static_cast<float>(out.l[i / n]);
    out.code[i] = static_cast<uint8_t>(R::code(scale != 0 ? x[i] / scale : 0));
  }
  return true;
}

}  // namespace tl::TL_ISA
