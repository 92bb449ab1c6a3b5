// Finding the scale of one sub-block on a codebook: a start without the codebook, then with it.
#include "grid_search.h"

namespace tl::TL_ISA {

Scale fit_levels(const float* x, const float* w, int n, const UniformLevels& levels) {
  float ww = 0, wxx = 0;
  for (int i = 0; i < n; ++i) {
    ww += w[i];
    wxx += w[i] * x[i] * x[i];
  }
  if (!(wxx > 0)) return {};
  float middle = levels.typical / __builtin_sqrtf(wxx / ww), best_score = -1;
  float steps = (levels.top - levels.low) / levels.step;
  Scale best;
  for (int i = 0; i < 16; i += kLanes) {
    vf inverse = splat(middle) * ramp(0.6f + 0.06f * static_cast<float>(i), 0.06f), xq{}, qq{};
    vf per_step = inverse / splat(levels.step);
    for (int j = 0; j < n; ++j) {
      vf k = nearest(clamp(splat(x[j]) * per_step - splat(levels.low / levels.step), 0, steps));
      vf q = splat(levels.low) + k * splat(levels.step), wq = splat(w[j]) * q;
      xq += wq * splat(x[j]);
      qq += wq * q;
    }
    vf score = xq * xq / qq;
    int lane = best_lane(score);
    if (score[lane] > best_score) best_score = score[lane], best = {xq[lane] / qq[lane], qq[lane]};
  }
  return best;
}

namespace {

// Whether all elements are about as large as the largest.
bool is_flat(const float* x, int n) {
  float peak = max_abs(x, n), square = 0;
  for (int i = 0; i < n; ++i) square += x[i] * x[i];
  return static_cast<float>(n) * peak * peak < 1.5f * square;
}

}  // namespace

Scale fit_grid_scale(const GridSubBlock& g, const UniformLevels& levels, uint16_t* index) {
  int n = g.groups * g.book->size;
  Scale start = fit_levels(g.x, g.w, n, levels), best;
  for (int k = 0; k < g.groups; ++k) index[k] = 0;
  if (!(start.value > 0)) return best;
  float best_score = 0;
  uint16_t trial[8] = {};
  // What the scale explains of Σ w·x² is value²·curve.
  auto look = [&](float s) {
    choose_points(g, s, trial);
    Scale refit = refit_scale(g, trial);
    float score = refit.value * refit.value * refit.curve;
    if (!(score > best_score * 1.0001f)) return false;
    best_score = score, best = refit;
    memcpy(index, trial, static_cast<size_t>(g.groups) * 2);
    return true;
  };
  if (is_flat(g.x, n)) {  // some level may fit all; the same one in all sub-blocks, so first
    float size = max_abs(g.x, n);
    for (int key = 0; key < 16 / g.book->size * 2 && g.values->first[key] < 100; ++key)
      look(size / g.values->first[key]);
  }
  for (float part : {0.85f, 1.0f, 1.15f}) look(start.value * part);
  memcpy(trial, index, static_cast<size_t>(g.groups) * 2);
  look(best.value);
  return best;
}

}  // namespace tl::TL_ISA
