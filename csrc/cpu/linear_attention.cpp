// "linear_attention": a matrix per head that decays, takes outer products in and is asked by
// queries; Mamba 2, gated delta nets and RWKV 5 to 7 are cases of it.
//
// A tile of the columns of a head's matrix goes through all steps in cache. Tiles are independent
// of each other, so no sum depends on the number of threads, nor on how a sequence is cut.
#include "state_space.h"

namespace tl::TL_ISA {
namespace {

constexpr int kVectors = 4;
constexpr int64_t kTile = kVectors * kLanes;
constexpr int64_t kMostKeys = 1024;

enum Mode { kPlain, kDelta, kBonus };

struct Heads {
  Positions q, k, v, decay, remove, write;  // of each position and group, or head
  float *y, *state;                         // y (batch, n, heads, values), state (…, keys, values)
  const float* bonus;                       // (heads, keys)
  int64_t n, heads, groups, keys, values;
  int64_t each;  // 1: a decay for each key, 0: one for the head
};

// The matrix of a tile: `keys` rows of kTile floats, `stride` apart.
struct Tile {
  float* data;
  int64_t stride;
};

TL_INLINE void load_values(const float* from, int64_t width, vf (&to)[kVectors]) {
  if (width == kTile) {
    for (int i = 0; i < kVectors; ++i) to[i] = load(from + i * kLanes);
    return;
  }
  float whole[kTile] = {};
  memcpy(whole, from, static_cast<size_t>(width) * sizeof(float));
  for (int i = 0; i < kVectors; ++i) to[i] = load(whole + i * kLanes);
}

TL_INLINE void store_values(float* to, int64_t width, const vf (&from)[kVectors]) {
  float whole[kTile];
  for (int i = 0; i < kVectors; ++i) store(whole + i * kLanes, from[i]);
  memcpy(to, whole, static_cast<size_t>(width) * sizeof(float));
}

// What the delta rule takes away from each value: a sum over the rows of the tile.
TL_INLINE void removed(const float* remove, int64_t keys, Tile m, vf (&gone)[kVectors]) {
  for (int64_t i = 0; i < keys; ++i) {
    const vf r = splat(remove[i]);
    for (int j = 0; j < kVectors; ++j)
      gone[j] = fma(r, load(m.data + i * m.stride + j * kLanes), gone[j]);
  }
}

// All that counts of row b and head h, for the values [first, first + width).
template <Mode kMode>
void run(const Heads& s, int64_t b, int64_t h, int64_t count, int64_t first, int64_t width,
         Tile m) {
  const int64_t g = h / (s.heads / s.groups);
  for (int64_t t = 0; t < s.n; ++t) {
    float* out = s.y + ((b * s.n + t) * s.heads + h) * s.values + first;
    if (t >= count) {
      memset(out, 0, static_cast<size_t>(width) * sizeof(float));
      continue;
    }
    const float *q = s.q.at(b, t, g), *k = s.k.at(b, t, g), *decay = s.decay.at(b, t, h);
    const float* write = kMode == kDelta ? s.write.at(b, t, g) : nullptr;
    vf v[kVectors], y[kVectors] = {}, gone[kVectors] = {};
    load_values(s.v.at(b, t, h) + first, width, v);
    if constexpr (kMode == kDelta) removed(s.remove.at(b, t, g), s.keys, m, gone);
    if constexpr (kMode == kBonus) {
      const float* u = s.bonus + h * s.keys;
      float now = 0;
      for (int64_t i = 0; i < s.keys; ++i) now += q[i] * u[i] * k[i];
      for (int j = 0; j < kVectors; ++j) y[j] = splat(now) * v[j];
    }
    for (int64_t i = 0; i < s.keys; ++i) {
      const vf qi = splat(q[i]), ki = splat(k[i]), d = splat(decay[i * s.each]);
      float* row = m.data + i * m.stride;
      for (int j = 0; j < kVectors; ++j) {
        const vf before = load(row + j * kLanes);
        vf next = fma(d, before, ki * v[j]);
        if constexpr (kMode == kDelta) next = fma(splat(write[i]), gone[j], next);
        store(row + j * kLanes, next);
        y[j] = fma(qi, kMode == kBonus ? before : next, y[j]);
      }
    }
    store_values(out, width, y);
  }
}

void tile(const Heads& s, int64_t b, int64_t h, int64_t count, int64_t first, float* own) {
  const int64_t left = s.values - first, width = left < kTile ? left : kTile;
  float* held = s.state ? s.state + (b * s.heads + h) * s.keys * s.values + first : nullptr;
  const bool in_place = held && width == kTile;
  const Tile m = in_place ? Tile{held, s.values} : Tile{own, kTile};
  const size_t bytes = static_cast<size_t>(width) * sizeof(float);
  if (!in_place) memset(own, 0, static_cast<size_t>(s.keys * kTile) * sizeof(float));
  for (int64_t i = 0; held && !in_place && i < s.keys; ++i)
    memcpy(own + i * kTile, held + i * s.values, bytes);
  if (s.remove.data) {
    run<kDelta>(s, b, h, count, first, width, m);
  } else if (s.bonus) {
    run<kBonus>(s, b, h, count, first, width, m);
  } else {
    run<kPlain>(s, b, h, count, first, width, m);
  }
  for (int64_t i = 0; held && !in_place && i < s.keys; ++i)
    memcpy(held + i * s.values, own + i * kTile, bytes);
}

// y q k v decay remove write bonus state counts
const char* linear_attention(const Arg* args, int) {
  const View &y = *args[0].a, &q = *args[1].a, &decay = *args[4].a;
  if (y.ndim != 4 || q.ndim != 4 || (decay.ndim != 3 && decay.ndim != 4))
    return "linear_attention: expected y (b, n, heads, values), q (b, n, groups, keys)";
  const int64_t b = y.shape[0], n = y.shape[1], heads = y.shape[2], values = y.shape[3];
  const int64_t groups = q.shape[2], keys = q.shape[3];
  const Counts counts(args[9], b, n);
  const bool delta = args[5].kind != Arg::none;
  const bool good_decay = decay.ndim == 4 ? fits(decay, {b, n, heads, keys})
                                          : decay.dtype == DType::f32 && decay.shape[0] == b &&
                                                decay.shape[1] == n && decay.shape[2] == heads;
  if (groups < 1 || heads % groups || keys > kMostKeys || !fits(y, {b, n, heads, values}, true) ||
      !fits(q, {b, n, groups, keys}) || !fits(*args[2].a, {b, n, groups, keys}) ||
      !fits(*args[3].a, {b, n, heads, values}) || !good_decay ||
      !fits_if(args[5], {b, n, groups, keys}) || !fits_if(args[6], {b, n, groups, keys}) ||
      (args[6].kind != Arg::none) != delta || !fits_if(args[7], {heads, keys}, true) ||
      (delta && args[7].kind != Arg::none) || !fits_if(args[8], {b, heads, keys, values}, true) ||
      !counts.good)
    return "linear_attention: expected f32 of the sizes of the result, its last axis contiguous";
  Heads s{};
  s.q = Positions(q), s.k = Positions(*args[2].a), s.v = Positions(*args[3].a);
  s.decay = Positions(decay), s.each = decay.ndim == 4;
  if (delta) s.remove = Positions(*args[5].a), s.write = Positions(*args[6].a);
  s.y = y.ptr<float>(), s.state = floats(args[8]), s.bonus = floats(args[7]);
  s.n = n, s.heads = heads, s.groups = groups, s.keys = keys, s.values = values;
  const int64_t own = keys * kTile + kLanes;  // a vector more: never nothing
  Scratch memory(static_cast<size_t>(own * num_threads()) * sizeof(float));
  float* base = memory.as<float>();
  if (!base) return "linear_attention: out of memory";
  const int64_t tiles = (values + kTile - 1) / kTile;
  parallel_for(b * heads * tiles, 1 + 16384 / (1 + n * keys * kTile),
               [&](int64_t begin, int64_t end, int k) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i / (heads * tiles), h = i / tiles % heads;
                   tile(s, row, h, counts.of(row), i % tiles * kTile, base + own * k);
                 }
               });
  return nullptr;
}

}  // namespace

void register_linear_attention(KernelTable& t);
void register_linear_attention(KernelTable& t) {
  t.add("linear_attention",
        "y:out q:in k:in v:in decay:in remove:in? write:in? bonus:in? state:inout? counts:in?",
        linear_attention);
}

}  // namespace tl::TL_ISA
