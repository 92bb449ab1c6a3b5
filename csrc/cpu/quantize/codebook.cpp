// A point's error is the sum of four numbers, one for each of its keys. So four tables of 16 give
// the error of every point. As bytes they fit the byte shuffle, which adds up the errors of 32
// points in a dozen instructions; what bytes cannot tell apart is compared in floats.
#include "codebook.h"

#include "../../core/grid_codes.h"
#include "../../core/grids.h"

namespace tl::TL_ISA {
namespace {

template <int kCount>
struct Planes {
  alignas(64) uint8_t key[4 * kCount];
};
template <int kBits, int kCount>
constexpr Planes<kCount> planes_of(const uint16_t (&code)[kCount]) {
  Planes<kCount> planes{};
  for (int p = 0; p < 4; ++p) {
    for (int i = 0; i < kCount; ++i)
      planes.key[p * kCount + i] = static_cast<uint8_t>(code[i] >> kBits * p & ((1 << kBits) - 1));
  }
  return planes;
}

constexpr auto kIq1sPlanes = planes_of<4>(kIq1sCodes);
constexpr auto kIq2xxsPlanes = planes_of<4>(kIq2xxsCodes);
constexpr auto kIq2xsPlanes = planes_of<4>(kIq2xsCodes);
constexpr auto kIq2sPlanes = planes_of<4>(kIq2sCodes);
constexpr auto kIq3xxsPlanes = planes_of<3>(kIq3xxsCodes);
constexpr auto kIq3sPlanes = planes_of<3>(kIq3sCodes);

constexpr int kMostPoints = 2048;
constexpr float kByteTop = 250;  // leaves room for what four truncations take away

struct Tables {
  alignas(64) float error[4][16];
  alignas(64) uint8_t rough[4][16];
};

// Errors of the 16 keys for the element(s) at x, less the least of them, which is returned.
TL_INLINE float fill(const Values& values, const float* x, const float* w, float s, bool pair,
                     float* to) {
  vf least = splat(3e38f);
  for (int i = 0; i < 16; i += kLanes) {
    vf e = splat(x[0]) - splat(s) * load(values.first + i);
    vf error = splat(w[0]) * e * e;
    if (pair) {
      e = splat(x[1]) - splat(s) * load(values.second + i);
      error += splat(w[1]) * e * e;
    }
    store(to + i, error);
    least = min(error, least);
  }
  float floor = least_lane(least);
  for (int i = 0; i < 16; i += kLanes) store(to + i, load(to + i) - splat(floor));
  return floor;
}

// The 16 errors of each table in units of 1 / scale, cut off to a byte.
TL_INLINE void byte_error_tables(Tables& t, float scale) {
  for (int p = 0; p < 4; ++p) {
    auto whole = [&](int i) {
      const f32x8 x = load_as<f32x8>(t.error[p] + i) * scale;
      return __builtin_convertvector(min(max(x, f32x8{}), f32x8{} + 255), i32x8);
    };
    store_at(t.rough[p], to_bytes(whole(0), whole(8)));
  }
}

// Rough errors of all points to `rough`; returns the least.
TL_INLINE int scan(const Codebook& book, const Tables& t, uint8_t* rough) {
  b32 least = splat32(255);
  for (int i = 0; i < book.count; i += 32) {
    auto part = [&](int p) { return lookup32(t.rough[p], load_as<b32>(book.plane(p) + i)); };
    const b32 error = add_full(add_full(part(0), part(1)), add_full(part(2), part(3)));
    store_at(rough + i, error);
    least = least32(least, error);
  }
  return least_byte(least);
}

TL_INLINE float exact(const Codebook& book, const Tables& t, int i) {
  return (t.error[0][book.plane(0)[i]] + t.error[1][book.plane(1)[i]]) +
         (t.error[2][book.plane(2)[i]] + t.error[3][book.plane(3)[i]]);
}

// f(i) for every point whose rough error is at most `limit`.
template <class F>
TL_INLINE void each_below(const uint8_t* rough, int count, int limit, F f) {
  const b32 top = splat32(limit);
  for (int i = 0; i < count; i += 32) {
    const b32 v = load_as<b32>(rough + i);
    uint32_t hits = top_bits((b32)(least32(v, top) == v));
    for (; hits; hits &= hits - 1) f(i + __builtin_ctz(hits));
  }
}

}  // namespace

const Codebook kIq1sBook{kIq1sPlanes.key, 2048, 8};
const Codebook kIq2xxsBook{kIq2xxsPlanes.key, 256, 8};
const Codebook kIq2xsBook{kIq2xsPlanes.key, 512, 8};
const Codebook kIq2sBook{kIq2sPlanes.key, 1024, 8};
const Codebook kIq3xxsBook{kIq3xxsPlanes.key, 256, 4};
const Codebook kIq3sBook{kIq3sPlanes.key, 512, 4};

Point nearest_point(const Codebook& book, const Values& values, const float* x, const float* w,
                    float s, int hint, float limit) {
  Tables t;
  float floor = 0;
  int per = book.size / 4;
  for (int p = 0; p < 4; ++p)
    floor += fill(values, x + p * per, w + p * per, s, per == 2, t.error[p]);
  if (floor >= limit) return {hint, floor};
  Point best{hint, exact(book, t, hint)};
  if (best.error > limit - floor) best.error = limit - floor;
  if (best.error > 0) {
    alignas(64) uint8_t rough[kMostPoints];
    float bound = best.error;
    int least = 0;
    // A bound far above the least error leaves few steps to tell points apart: then once more with
    // what the first look has shown.
    for (int pass = 0; pass < 3; ++pass) {
      byte_error_tables(t, kByteTop / bound);
      least = scan(book, t, rough);
      if (least >= 40) break;
      bound *= static_cast<float>(least + 4) / kByteTop;
    }
    each_below(rough, book.count, least + 3, [&](int i) {
      float error = exact(book, t, i);
      if (error < best.error) best = {i, error};
    });
  }
  best.error += floor;
  return best;
}

}  // namespace tl::TL_ISA
