// Choosing scales and codebook points of one block together: shared by IQ1, IQ2 and IQ3.
#pragma once
#include "codebook.h"
#include "super_block.h"

namespace tl::TL_ISA {

// Evenly spaced values, about those of a codebook's elements: low, low + step, … up to top.
struct UniformLevels {
  float low, step, top;
  float typical;  // root mean square of elements that use them well
};

// The best scale when each element may take any value of the levels, a good start for the codebook.
Scale fit_levels(const float* x, const float* w, int n, const UniformLevels& levels);

// One sub-block: what is to be rounded, and how.
struct GridSubBlock {
  const Codebook* book;
  const Values* values;
  const float *x, *w;
  int groups;  // of book->size elements
};

// The best points under the scale; returns the error. `index` holds hints before.
TL_INLINE float choose_points(const GridSubBlock& g, float s, uint16_t* index) {
  float total = 0;
  for (int k = 0; k < g.groups; ++k) {
    Point p = nearest_point(*g.book, *g.values, g.x + k * g.book->size, g.w + k * g.book->size, s,
                            index[k]);
    index[k] = static_cast<uint16_t>(p.index);
    total += p.error;
  }
  return total;
}

// The best scale under the points.
TL_INLINE Scale refit_scale(const GridSubBlock& g, const uint16_t* index) {
  float xq = 0, qq = 0;
  for (int k = 0; k < g.groups; ++k)
    add_products(*g.book, *g.values, g.x + k * g.book->size, g.w + k * g.book->size, index[k], &xq,
                 &qq);
  return qq > 0 && xq > 0 ? Scale{xq / qq, qq} : Scale{};
}

// Starts from a few scales, then takes points and scale by turns. Leaves the points in `index`.
Scale fit_grid_scale(const GridSubBlock& g, const UniformLevels& levels, uint16_t* index);

// Scales of sub-blocks are odd multiples 2k + 1 of the block's unit. The k that are worth a look:
// first … last, one or two.
struct ScaleRange {
  int first, last;
};
TL_INLINE ScaleRange scale_range(float scale, float unit, int high, float margin = 0.4f) {
  float k = unit > 0 ? (scale / unit - 1) * 0.5f : 0, top = static_cast<float>(high);
  auto whole = [&](float x) { return static_cast<int>(x > 0 ? (x < top ? x : top) : 0); };
  // Between two integers both are tried; elsewhere trying the farther one gained nothing (0.0005 of
  // the error for a third of the time).
  return {whole(k + margin), whole(k + 1 - margin)};
}

}  // namespace tl::TL_ISA
