// Searching the scale under which a group of elements loses least when rounded. The lanes of a
// vector are candidates, not elements: each lane goes through the group with a scale of its own, so
// nothing is added up across lanes, and a group is rounded under eight scales for the price of one.
#pragma once
#include "pack.h"

namespace tl::TL_ISA {

TL_INLINE vf clamp(vf x, float low, float high) { return min(max(x, splat(low)), splat(high)); }
// To the nearest integer, halves to even; |x| < 2^22.
TL_INLINE vf nearest(vf x) { return (x + splat(12582912.f)) - splat(12582912.f); }
TL_INLINE float nearest(float x) { return (x + 12582912.f) - 12582912.f; }

// first, first + step, first + 2·step, …
TL_INLINE vf ramp(float first, float step) {
  vf x;
  for (int i = 0; i < kLanes; ++i) x[i] = first + step * static_cast<float>(i);
  return x;
}
TL_INLINE vf through_half(vf x) {  // rounded to f16
  f16 h[kLanes];
  store(h, x);
  return load(h);
}
TL_INLINE int best_lane(vf score) {  // the first of the greatest
  int best = 0;
  for (int i = 1; i < kLanes; ++i) best = score[i] > score[best] ? i : best;
  return best;
}

// How a format rounds an element divided by its scale: to the integers kLow … kHigh.
template <int kLeast, int kMost>
struct RoundToInteger {
  static constexpr float kLow = kLeast, kHigh = kMost;
  static TL_INLINE vf round(vf y) { return nearest(clamp(y, kLow, kHigh)); }
  static TL_INLINE int code(float y) {
    y = y > kLow ? (y < kHigh ? y : kHigh) : kLow;
    return static_cast<int>(nearest(y)) - kLeast;
  }
};

// A scale, and the curvature of the error around it: moving the scale by e costs curve·e².
struct Scale {
  float value = 0, curve = 0;
};

// The scale s that minimises Σ w·(x − s·q)², q = round(x / s), among candidates that put the
// element farthest from zero near either end of the range.
template <class R, int n>
Scale fit_scale(const float* x, const float* w, int tries) {
  float far = max_magnitude(x, n);
  Scale best;
  if (__builtin_fabsf(far) < kSmallest) return best;
  float best_score = -1, inverse = 0, step = 0;
  auto look = [&](vf candidates) {
    vf xq{}, qq{};
    for (int i = 0; i < n; ++i) {
      vf q = R::round(splat(x[i]) * candidates), wq = splat(w[i]) * q;
      xq += wq * splat(x[i]);
      qq += wq * q;
    }
    vf score = select(qq > 0.f, xq * xq / qq, splat(-1.f));
    int lane = best_lane(score);
    if (score[lane] <= best_score) return;
    best_score = score[lane], inverse = candidates[lane];
    best = {xq[lane] / qq[lane], qq[lane]};
  };
  // Half a step of rounding in or out at the end of the range, on both sides.
  constexpr float kSpan = 1.2f + 0.02f * (R::kHigh - R::kLow);
  for (float end : {R::kLow, R::kHigh}) {
    float first = (end - kSpan * (end < 0 ? -1 : 1)) / far,
          last = (end + kSpan * 0.75f * (end < 0 ? -1 : 1)) / far;
    step = (last - first) / static_cast<float>(tries - 1);
    for (int i = 0; i < tries; i += kLanes) look(ramp(first + step * static_cast<float>(i), step));
  }
  step = __builtin_fabsf(step) * 2 / kLanes;
  look(ramp(inverse - step * (kLanes / 2 - 0.5f), step));
  return best;
}

// The same for x ≈ s·q − m, q in 0 … kTop. `curve` is Σ w·q².
struct Affine {
  float scale = 0, least = 0, curve = 0;
};

// Errors of the candidates (s, m).
template <class R, int n>
TL_INLINE vf affine_error(const float* x, const float* w, vf s, vf m) {
  vf inverse = select(s != 0.f, splat(1.f) / s, vf{}), error{};
  for (int i = 0; i < n; ++i) {
    vf y = splat(x[i]) + m, e = y - s * R::round(y * inverse);
    error += splat(w[i]) * e * e;
  }
  return error;
}
template <class R, int n>
TL_INLINE vf scale_error(const float* x, const float* w, vf s) {
  vf inverse = select(s != 0.f, splat(1.f) / s, vf{}), error{};
  for (int i = 0; i < n; ++i) {
    vf y = splat(x[i]), e = y - s * R::round(y * inverse);
    error += splat(w[i]) * e * e;
  }
  return error;
}

// kFloor: m may not be negative. Else it is free, and s and m are what float16 can hold.
template <int kTop, int n, bool kFloor>
Affine fit_affine(const float* x, const float* w, int widths, int shifts) {
  using R = RoundToInteger<0, kTop>;
  float least = x[0], most = x[0], sw = 0, swx = 0;
  for (int i = 0; i < n; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
    sw += w[i];
    swx += w[i] * x[i];
  }
  if (kFloor && least > 0) least = 0;
  Affine best{0, -least, 0};
  float range = most - least;
  if (range < kSmallest) return best;
  float best_error = 3e38f;
  for (int shift = 0; shift < shifts; ++shift) {
    for (int i = 0; i < widths; i += kLanes) {
      // The width of the range that is kept, and how much of the rest is cut off below.
      constexpr float kCut = kTop < 4 ? 0.5f : kTop < 16 ? 0.2f : 0.1f;
      vf width = splat(range) * ramp(1.f + 0.6f / kTop - kCut * static_cast<float>(i) / widths,
                                     -(kCut + 0.6f / kTop) / widths);
      float part = shifts > 1 ? static_cast<float>(shift) / static_cast<float>(shifts - 1) : 0.5f;
      vf inverse = splat(static_cast<float>(kTop)) / width;
      vf start = splat(least) + (splat(range) - width) * splat(part);
      vf q1{}, q2{}, qx{};
      for (int j = 0; j < n; ++j) {
        vf q = R::round((splat(x[j]) - start) * inverse), wq = splat(w[j]) * q;
        q1 += wq;
        q2 += wq * q;
        qx += wq * splat(x[j]);
      }
      vf det = splat(sw) * q2 - q1 * q1;
      vf s = (splat(sw) * qx - splat(swx) * q1) / det, m = (q1 * qx - q2 * splat(swx)) / det;
      if constexpr (kFloor) {
        vi below = m < 0.f;
        s = select(below, qx / q2, s);
        m = select(below, vf{}, m);
      }
      // All elements on one step tell nothing about its width.
      vi sane = (det > splat(3e-6f * sw) * q2) & (s > 0.f);
      s = select(sane, s, kFloor ? qx / q2 : width / splat(static_cast<float>(kTop)));
      m = select(sane, m, kFloor ? vf{} : vf{} - start);
      s = select(s > 0.f, s, vf{});
      if constexpr (!kFloor) s = through_half(s), m = through_half(m);
      vf error = affine_error<R, n>(x, w, s, m);
      int lane = best_lane(vf{} - error);
      // Among equals the first: groups of a block then choose alike.
      if (error[lane] < best_error - 1e-9f * sw * range * range) {
        best_error = error[lane];
        best = {s[lane], m[lane], q2[lane]};
      }
    }
  }
  return best;
}

// The unit d under which the scales s are nearest to d·l, l in low … high, by Σ curve·(s − d·l)².
// kOdd: l counts in odd numbers, 1, 3, … high.
template <int n, bool kOdd = false>
float fit_unit(const Scale* s, int low, int high) {
  float far = 0;
  for (int j = 0; j < n; ++j) {
    if (__builtin_fabsf(s[j].value) > __builtin_fabsf(far)) far = s[j].value;
  }
  if (far == 0) return 0;
  float best = 0, best_error = 3e38f;
  float end = low < 0 ? static_cast<float>(low) : static_cast<float>(high);
  for (int i = 0; i < 32; i += kLanes) {
    vf unit = splat(far / end) / ramp(1.04f - 0.014f * static_cast<float>(i), -0.014f);
    vf inverse = splat(1.f) / unit, sl{}, ll{}, ss{};
    for (int j = 0; j < n; ++j) {
      vf y = splat(s[j].value) * inverse, l;
      if constexpr (kOdd)
        l = nearest(clamp((y - 1.f) * 0.5f, 0, static_cast<float>(high - 1) * 0.5f)) * 2.f + 1.f;
      else
        l = nearest(clamp(y, static_cast<float>(low), static_cast<float>(high)));
      vf c = splat(s[j].curve);
      sl += c * l * splat(s[j].value);
      ll += c * l * l;
      ss += c * splat(s[j].value * s[j].value);
    }
    vf refined = select(ll > 0.f, sl / ll, unit), error = ss - refined * sl;
    int lane = best_lane(vf{} - error);
    if (error[lane] < best_error) best_error = error[lane], best = refined[lane];
  }
  return best;
}

}  // namespace tl::TL_ISA
