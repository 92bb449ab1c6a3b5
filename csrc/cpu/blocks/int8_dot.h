// Few rows: dot products of int8 activations straight from the file's bytes.
//
// One weight row after the other, as they lie in memory, leaves a line of floats, one for each
// group of 32 (or 16) weights; then 16 such lines are added up side by side, group after group. So
// a result has the very bits that int8_panel.h gives it among many rows.
#pragma once
#include "../gemm_linear.h"
#include "../simd/int8_tile.h"
#include "format.h"

namespace tl::TL_ISA {

// Rounded activations of up to 4 rows: bytes, a scale to 32 of them, and for each group of the
// weight's format Σq as a float, or kShift·Σq as an integer.
struct DotActivations {
  int8_t* q;
  float *d, *extra;
  int64_t units, groups;  // of a row; groups with room for a vector that begins at the last one

  static int64_t padded(int64_t groups) { return groups + 8; }
  static size_t bytes(int64_t rows, int64_t units, int64_t groups) {
    return rows * (units * 32 + (units + padded(groups)) * sizeof(float));
  }
  DotActivations(void* memory, int64_t rows, int64_t units_, int64_t groups_)
      : units(units_), groups(padded(groups_)) {
    d = static_cast<float*>(memory);
    extra = d + rows * units;
    q = reinterpret_cast<int8_t*>(extra + rows * groups);
  }
  int8_t* q_at(int64_t row) const { return q + row * units * 32; }
  float* d_at(int64_t row) const { return d + row * units; }
  float* extra_at(int64_t row) const { return extra + row * groups; }
};

template <class F, class T>
void round_row(const T* x, const DotActivations& a, int64_t row) {
  constexpr int kPer = 32 / F::kGroup;
  int8_t* q = a.q_at(row);
  float *d = a.d_at(row), *extra = a.extra_at(row);
  for (int64_t u = 0; u < a.units; ++u, x += 32, q += 32) {
    int32_t sums[2];
    d[u] = round_any32(x, q, sums);
    for (int g = 0; g < kPer; ++g, ++extra) {
      int32_t total = kPer == 1 ? sums[0] + sums[1] : sums[g];
      if constexpr (F::kMins) {
        *extra = static_cast<float>(total);
      } else {
        total *= F::kShift;
        memcpy(extra, &total, 4);
      }
    }
  }
}

template <class F>
inline constexpr Extra kExtraOf = F::kMins         ? Extra::minimum
                                  : F::kShift != 0 ? Extra::shift
                                                   : Extra::none;

// The signs of weights go to the activations: unsigned weights w and activations x of a row.
template <class F, class B>
TL_INLINE void open_unit(const B& block, int unit, b32* w, b32* sign) {
  *w = *sign = F::values(block, unit);
  if constexpr (F::kForm == Form::masked) *sign = F::mask(block, unit);
  if constexpr (F::kForm == Form::plain) *w = abs32(*w);
}
template <class F>
TL_INLINE b32 signed_activations(const int8_t* q, b32 sign) {
  b32 x = load32(q);
  if constexpr (F::kForm == Form::masked) x = negate32(x, sign);
  if constexpr (F::kForm == Form::plain) x = sign32(x, sign);
  return x;
}

#ifdef __AVX2__
// The blocks that are opened together: as many as make 8 groups, or one.
template <class F>
struct Step {
  static constexpr int kUnits = F::kGroup == 32 ? 8 : 4;  // units to 8 groups
  static constexpr int kBlocks = F::kUnits < kUnits ? kUnits / F::kUnits : 1;
  static constexpr int kTimes = F::kUnits < kUnits ? 1 : F::kUnits / kUnits;
};

// Sums of the groups of kCount units from kFrom on, for each activation row; `left` blocks are
// there. Added pairwise on the way, so that few vectors are alive.
template <class F, int kBatch, int kFrom, int kCount, bool kPart, class B>
TL_INLINE void add_units(const B* blocks, int left, const int8_t* const* q, __m256i* to) {
  if constexpr (kCount == 1) {
    constexpr int kBlock = kFrom / F::kUnits;
    if (kPart && kBlock >= left) {
      for (int a = 0; a < kBatch; ++a) to[a] = _mm256_setzero_si256();
      return;
    }
    b32 w, sign;
    open_unit<F>(blocks[kBlock], kFrom % F::kUnits, &w, &sign);
#pragma GCC unroll 4
    for (int a = 0; a < kBatch; ++a)
      to[a] = dot32(w, signed_activations<F>(q[a] + 32 * kFrom, sign));
  } else {
    __m256i x[kBatch], y[kBatch];
    add_units<F, kBatch, kFrom, kCount / 2, kPart>(blocks, left, q, x);
    add_units<F, kBatch, kFrom + kCount / 2, kCount / 2, kPart>(blocks, left, q, y);
#pragma GCC unroll 4
    for (int a = 0; a < kBatch; ++a) {
      if constexpr (kCount == 8) {
        to[a] = _mm256_add_epi32(_mm256_permute2x128_si256(x[a], y[a], 0x20),
                                 _mm256_permute2x128_si256(x[a], y[a], 0x31));
      } else {
        to[a] = _mm256_hadd_epi32(x[a], y[a]);
        // Two groups to a unit: first halves, then second halves; in order, then.
        if constexpr (kCount == 4 && F::kGroup == 16) {
          to[a] = _mm256_permutevar8x32_epi32(to[a], _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        }
      }
    }
  }
}

template <class F, int kBatch, int kTime, bool kPart, class B>
TL_INLINE void step_values(const B* blocks, int left, const DotActivations& act, int64_t unit,
                           const float* d, const float* m, float* const* to) {
  constexpr int kPer = 32 / F::kGroup, kUnits = Step<F>::kUnits;
  const int8_t* q[kBatch];
  for (int a = 0; a < kBatch; ++a) q[a] = act.q_at(a) + 32 * unit;
  __m256i sums[kBatch];
  add_units<F, kBatch, kTime * kUnits, kUnits, kPart>(blocks, left, q, sums);
  constexpr int kSkip = kTime * kUnits * kPer;
  for (int a = 0; a < kBatch; ++a) {
    const float* extra = act.extra_at(a) + unit * kPer + kSkip;
    if constexpr (F::kShift != 0) sums[a] = _mm256_add_epi32(sums[a], load32(extra));
    vf sum = (vf)_mm256_cvtepi32_ps(sums[a]), least{}, total{};
    if constexpr (F::kMins) least = load(m + kSkip), total = load(extra);
    store(to[a] + kSkip, group_value<kExtraOf<F>>(sum, load(d + kSkip), least, total));
  }
  if constexpr (kTime + 1 < Step<F>::kTimes)
    step_values<F, kBatch, kTime + 1, kPart>(blocks, left, act, unit, d, m, to);
}
#endif

// Bytes that are asked for ahead of their use, in the order in which the rows lie in memory.
inline constexpr int kAhead = 2048;

// The value of each group of one weight row · each activation row: to[a·stride + group], before the
// activations' scales. Up to 8 places after the last may be written.
template <class F, int kBatch>
TL_INLINE void row_values(const uint8_t* w, int64_t blocks, const DotActivations& act, float* to,
                          int64_t stride) {
  constexpr int kRun = 64 / F::kUnits, kScales = kRun * F::kGroups + 8;
  alignas(32) float d[kScales], m[kScales];
  for (int64_t b0 = 0; b0 < blocks; b0 += kRun, w += kRun * F::kBytes) {
    const int run = static_cast<int>(min64(kRun, blocks - b0));
    scales_of<F>(w, run, d, m);
    auto ahead = [&](int block) {
      // A page holds one or two rows, and at its end the hardware stops looking ahead.
      if constexpr (kBatch == 1) {
        for (int at = 0; at < F::kBytes; at += 64)
          __builtin_prefetch(w + block * F::kBytes + kAhead + at);
      }
    };
#ifdef __AVX2__
    constexpr int kBlocks = Step<F>::kBlocks;
    auto step = [&]<bool kPart>(int j, int left) {
      decltype(F::open(w)) block[kBlocks];
      for (int i = 0; i < kBlocks; ++i) {
        block[i] = F::open(w + (j + i) * F::kBytes);
        if (!kPart || i < left) ahead(j + i);
      }
      float* line[kBatch];
      for (int a = 0; a < kBatch; ++a) line[a] = to + a * stride + (b0 + j) * F::kGroups;
      step_values<F, kBatch, 0, kPart>(block, left, act, (b0 + j) * F::kUnits, d + j * F::kGroups,
                                       m + j * F::kGroups, line);
    };
    int j = 0;
    for (; j + kBlocks <= run; j += kBlocks) step.template operator()<false>(j, kBlocks);
    if (kBlocks > 1 && j < run) step.template operator()<true>(j, run - j);
#else
    constexpr int kPer = 32 / F::kGroup;
    for (int j = 0; j < run; ++j) {
      ahead(j);
      const auto block = F::open(w + j * F::kBytes);
      for (int unit = 0; unit < F::kUnits; ++unit) {
        b32 v, sign;
        open_unit<F>(block, unit, &v, &sign);
        const int64_t u = (b0 + j) * F::kUnits + unit;
        for (int a = 0; a < kBatch; ++a) {
          b32 x = signed_activations<F>(act.q_at(a) + 32 * u, sign);
          for (int g = 0; g < kPer; ++g) {
            int32_t sum = dot_of(v, x, g * F::kGroup, (g + 1) * F::kGroup), shift;
            const float* extra = act.extra_at(a) + u * kPer + g;
            memcpy(&shift, extra, 4);
            if constexpr (F::kShift != 0) sum += shift;
            const int at = (j * F::kUnits + unit) * kPer + g;
            to[a * stride + u * kPer + g] = group_value<kExtraOf<F>>(static_cast<float>(sum), d[at],
                                                                     F::kMins ? m[at] : 0, *extra);
          }
        }
      }
    }
#endif
  }
}

#ifdef __AVX2__
// to[i] = the i-th float of each of 8 lines that are `stride` floats apart.
TL_INLINE void load_transposed(const float* p, int64_t stride, vf* to) {
  __m256 r[8], t[8];
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) {
      const float* at = p + i * stride + 4 * half;
      r[4 * half + i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)),
                                             _mm_loadu_ps(at + 4 * stride), 1);
    }
  }
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      to[i + 2 * j] = (vf)_mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
      to[i + 2 * j + 1] = (vf)_mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
    }
  }
}
#endif

// y[c] = Σ values[c·stride + group] · da, over the groups in order, for 8·kTiles columns.
template <class F, int kTiles>
TL_INLINE void add_groups(const float* values, int64_t stride, const float* da, int64_t groups,
                          float* y) {
  constexpr int kPer = 32 / F::kGroup;
#ifdef __AVX2__
  vf acc[kTiles] = {};
  for (int64_t g = 0; g < groups; g += 8) {
    vf column[kTiles][8];
    for (int t = 0; t < kTiles; ++t)
      load_transposed(values + 8 * t * stride + g, stride, column[t]);
    auto add = [&](int i) {
      const vf scale = splat(da[(g + i) / kPer]);
      for (int t = 0; t < kTiles; ++t) acc[t] = fma(column[t][i], scale, acc[t]);
    };
    if (g + 8 <= groups) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) add(i);
    } else {
      for (int i = 0; g + i < groups; ++i) add(i);
    }
  }
  for (int t = 0; t < kTiles; ++t) store(y + 8 * t, acc[t]);
#else
  for (int c = 0; c < 8 * kTiles; ++c) {
    y[c] = 0;
    for (int64_t g = 0; g < groups; ++g) y[c] = fma(values[c * stride + g], da[g / kPer], y[c]);
  }
#endif
}

template <class F, int kBatch>
const char* decode(const Linear& l, const DotActivations& act) {
  const int64_t blocks = l.k / block_of(F::kDType), row_bytes = l.weight_row(1) - l.weight_row(0);
  // Lines of 16 columns; an odd distance, in vectors, spreads them over the cache.
  const int64_t groups = blocks * F::kGroups, stride = (groups + 8) / 8 * 8 + 8;
  const int64_t own = kBatch * 16 * stride;
  Scratch scratch(own * sizeof(float) * num_threads() + 64);
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(l.n, decode_grain(l.n, blocks * F::kBytes), [&](int64_t begin, int64_t end, int me) {
    float* values = scratch.as<float>() + me * own;
    for (int64_t i = begin; i < end; i += 16) {
      const int columns = static_cast<int>(min64(16, end - i));
      const uint8_t* first = l.weight_row(i);
      for (int c = 0; c < columns; ++c) {
        row_values<F, kBatch>(first + c * row_bytes, blocks, act, values + c * stride, 16 * stride);
      }
      float y[kBatch * 16];
      for (int a = 0; a < kBatch; ++a) {
        const float* from = values + a * 16 * stride;
        if (columns > 8)
          add_groups<F, 2>(from, stride, act.d_at(a), groups, y + a * 16);
        else
          add_groups<F, 1>(from, stride, act.d_at(a), groups, y + a * 16);
      }
      write_tile(l, 0, kBatch, i, columns, y, 16);
    }
  });
  return nullptr;
}

template <class F>
const char* decode_rows(const Linear& l) {
  int64_t units = l.k / 32, groups = units * (32 / F::kGroup);
  Scratch memory(DotActivations::bytes(l.m, units, groups));
  if (!memory.as<char>()) return "linear: out of memory";
  DotActivations act(memory.as<char>(), l.m, units, groups);
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t r = 0; r < l.m; ++r) round_row<F>(l.x_row<T>(r), act, r);
  });
  switch (l.m) {
    case 1:
      return decode<F, 1>(l, act);
    case 2:
      return decode<F, 2>(l, act);
    case 3:
      return decode<F, 3>(l, act);
    default:
      return decode<F, 4>(l, act);
  }
}

}  // namespace tl::TL_ISA
