// The codebook point that is nearest to a group of 8 (or 4) elements under a given scale, exactly.
#pragma once
#include "search.h"

namespace tl::TL_ISA {

// A point is four keys of 4 bits: each stands for a pair of elements with 2-bit levels, or for one
// element with a 3-bit level. Plane p holds key p of every point.
struct Codebook {
  const uint8_t* planes;
  int count;  // of points; a multiple of 32
  int size;   // elements of a point: 8 or 4

  const uint8_t* plane(int p) const { return planes + p * count; }
};

extern const Codebook kIq1sBook, kIq2xxsBook, kIq2xsBook, kIq2sBook, kIq3xxsBook, kIq3sBook;

// What the keys stand for: the values of a pair, or (`second` unused) of an element.
struct Values {
  alignas(64) float first[16], second[16];

  // A key that no point has gets values far off.
  template <class T, int kLevels>
  constexpr Values(const T (&level)[kLevels], int size, float shift) : first{}, second{} {
    for (int key = 0; key < 16; ++key) {
      int a = size == 8 ? key & 3 : key, b = key >> 2;
      first[key] = a < kLevels ? static_cast<float>(static_cast<int8_t>(level[a])) + shift : 1e3f;
      second[key] = b < kLevels ? static_cast<float>(static_cast<int8_t>(level[b])) + shift : 1e3f;
    }
  }
};

struct Point {
  int index = 0;
  float error = 0;
};

// The point for which Σ w·(x - s·value)² is least; `hint`: one that may be near. Gives up, with an
// error of at least `limit`, as soon as no point can be below it.
Point nearest_point(const Codebook& book, const Values& values, const float* x, const float* w,
                    float s, int hint, float limit = 3e38f);

// Adds Σ w·x·value and Σ w·value² of a point.
TL_INLINE void add_products(const Codebook& book, const Values& values, const float* x,
                            const float* w, int index, float* xq, float* qq) {
  auto add = [&](int i, float value) {
    *xq += w[i] * x[i] * value;
    *qq += w[i] * value * value;
  };
  for (int p = 0; p < 4; ++p) {
    int key = book.plane(p)[index];
    if (book.size == 8) {
      add(2 * p, values.first[key]);
      add(2 * p + 1, values.second[key]);
    } else {
      add(p, values.first[key]);
    }
  }
}

}  // namespace tl::TL_ISA
