// The kernels of weights whose rows lie interleaved, and the one that interleaves them.
#include "int8_interleaved.h"

#include "../../core/parallel.h"
#include "simple.h"

namespace tl::TL_ISA {
namespace {

#if !defined(__OPTIMIZE_SIZE__) && !defined(TL_INFERENCE)

template <class F>
struct Eight {
  static_assert(F::kUnits == 1 && F::kGroup == 32);
  static constexpr int kHead = F::kMins ? 4 : 2;  // bytes of a row's scale and minimum
  static constexpr int kRaw = (F::kBytes - kHead) / 4;
  static constexpr int kBlock = 8 * F::kBytes;

  // f(block, its scales, its words)
  template <class Each>
  static TL_INLINE void blocks(const uint8_t* eight, int64_t count, const Each& f) {
    int64_t b = 0;
    for (; b + 2 <= count; b += 2, eight += 2 * kBlock) {
      const uint8_t* words = eight + 16 * kHead;
      f(b, eight, words);
      f(b + 1, eight + 8 * kHead, words + 32 * kRaw);
    }
    if (b < count) f(b, eight, eight + 8 * kHead);
  }
  static TL_INLINE void raw(const uint8_t* words, b32* to) {
#pragma GCC unroll 8
    for (int i = 0; i < kRaw; ++i) to[i] = load32(words + 32 * i);
  }
  // Word k of a unit, unsigned where products want it so.
  static TL_INLINE b32 word(const b32* raw, int k) {
    if constexpr (kRaw == 4)
      return nibble_word(raw, k);
    else
      return kSigned<F> ? raw[k] : raw[k] ^ splat32(128);
  }
  static TL_INLINE f32x8 scale(const uint8_t* head) { return from_halves(load_as<u16x8>(head)); }
  static TL_INLINE f32x8 least(const uint8_t* head) {
    if constexpr (F::kMins) return from_halves(load_as<u16x8>(head + 16));
    return f32x8{};
  }
};

#ifndef TL_BELOW
// One row of activations, an eight of rows of weights at a time.
template <class F>
void one_row(const WeightRows& rows, const DotActivations& activations, float* y) {
  typedef Eight<F> E;
  const DotActivations act = activations;  // a copy: it could change with each store
  const uint8_t* eight = rows.first;
  for (int c = 0; c < rows.count; c += 8, eight += rows.bytes) {
    f32x8 acc{};
    E::blocks(eight, rows.blocks, [&](int64_t b, const uint8_t* head, const uint8_t* words) {
      b32 raw[E::kRaw], x[8];
      E::raw(words, raw);
      const int8_t* q = act.q + 32 * b;
      ti sum[1][2];  // the second is of the same tile, and nobody asks for it
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) x[k] = E::word(raw, k);
      if constexpr (kSigned<F>) {
        b32 size[8];
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) size[k] = size_of(x[k]);
        sum[0][0] = signed_dots<8>(size, x, q);
      } else {
        tile_dots<kTopOf<F>, 8, 1>(reinterpret_cast<const uint8_t*>(x), 0, q, sum);
      }
      acc = fma(worth<F>(sum[0][0], E::scale(head), E::least(head), act.extra + b),
                act.d[b] - f32x8{}, acc);
    });
    store_at(y + c, acc);
  }
}
#endif

// Several rows of activations; a tile of weights is one eight, or two side by side.
template <class F>
void some_rows(const WeightRows& rows, const DotActivations& activations, float* y) {
  typedef Eight<F> E;
  const DotActivations act = activations;
  for (int c = 0; c < rows.count; c += 8 * kEights) {
    const uint8_t* first = rows.first + c / 8 * rows.bytes;
    // Missing columns repeat those before.
    const int64_t next = c + 8 < rows.count ? rows.bytes : 0;
    alignas(64) float d[kTileColumns], m[kTileColumns];
    begin_sums<0>(act.rows, nullptr, y + c);
    E::blocks(first, rows.blocks, [&](int64_t b, const uint8_t* head, const uint8_t* words) {
      b32 raw[kEights][E::kRaw];
      for (int e = 0; e < kEights; ++e) {
        E::raw(words + e * next, raw[e]);
        store_at(d + 8 * e, E::scale(head + e * next));
        store_at(m + 8 * e, E::least(head + e * next));
      }
      auto word = [&](int e, int k) { return E::word(raw[e], k); };
      add_unit_of_rows<F, 8>(word, d, m, act, b, y + c);
    });
  }
}

// A word of four signed bytes of eight columns as two of two numbers of 16 bits.
TL_INLINE void widen_word(b32 word, uint8_t* to) {
  const u32x8 x = (u32x8)word;
  typedef Simd<int16_t, 16> i16x16_;
  const u32x8 low = (x << 8 & 0xff00) | (x << 16 & 0xff000000);
  const u32x8 high = (x >> 8 & 0xff00) | (x & 0xff000000);
  store_at(to, (b32)((i16x16_)low >> 8));
  store_at(to + 32, (b32)((i16x16_)high >> 8));
}

template <class F>
void panel(const uint8_t* eight, int64_t count, uint8_t* tile, float* d, float* m) {
  typedef Eight<F> E;
  E::blocks(eight, count, [&](int64_t b, const uint8_t* head, const uint8_t* words) {
    b32 raw[E::kRaw];
    E::raw(words, raw);
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
      if constexpr (kSigned<F>)
        widen_word(raw[k], tile + 64 * k);
      else
        store32(tile + 4 * kTileColumns * k, E::word(raw, k));
    }
    tile += 32 * kTileColumns * (kSigned<F> ? 2 : 1);
    store_at(d + kTileColumns * b, E::scale(head));
    if constexpr (F::kMins) store_at(m + kTileColumns * b, E::least(head));
  });
}

template <class F>
InterleavedFormat format_with_eights() {
  InterleavedFormat f{nullptr, some_rows<F>, panel<F>};
#ifdef TL_BELOW  // the same bits, and no slower (docs/log.md)
  f.one = TL_BELOW::interleaved_format(F::kDType)->one;
#else
  f.one = one_row<F>;
#endif
  return f;
}

#endif

}  // namespace

const InterleavedFormat* interleaved_format([[maybe_unused]] DType dtype) {
#if !defined(__OPTIMIZE_SIZE__) && !defined(TL_INFERENCE)
  static const InterleavedFormat q4_0 = format_with_eights<Q4_0>(),
                                 q4_1 = format_with_eights<Q4_1>(),
                                 q8_0 = format_with_eights<Q8_0>();
  switch (dtype) {
    case DType::q4_0:
      return &q4_0;
    case DType::q4_1:
      return &q4_1;
    case DType::q8_0:
      return &q8_0;
    default:
      break;
  }
#endif
  return nullptr;
}

#ifndef TL_BELOW
#if !defined(__OPTIMIZE_SIZE__) && !defined(TL_INFERENCE)
namespace {

// `size` bytes of eight rows, `step` bytes at a time beside each other.
TL_INLINE uint8_t* beside_each_other(const uint8_t* const* rows, int64_t at, int size, int step,
                                     uint8_t* to) {
  for (int i = 0; i < size; i += step)
    for (int c = 0; c < 8; ++c, to += step) memcpy(to, rows[c] + at + i, step);
  return to;
}

const char* interleave(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (x.ndim != 2 || !interleaved_format(x.dtype))
    return "interleave: expected a matrix of q4_0, q4_1 or q8_0";
  const int64_t rows = x.shape[0], depth = x.shape[1];
  if (!x.contiguous() || !out.contiguous() || out.dtype != DType::u8 ||
      out.size() != interleaved_bytes(x.dtype, rows, depth))
    return "interleave: expected contiguous operands that fit";
  if (out.size() == 0) return nullptr;
  const int bytes = bytes_of(x.dtype), head = x.dtype == DType::q4_1 ? 4 : 2;
  const int64_t blocks = depth / block_of(x.dtype), of_eight = eight_rows_bytes(x.dtype, depth);
  parallel_for((rows + 7) / 8, max64(1, 65536 / max64(1, of_eight)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const uint8_t* w[8];
                   for (int c = 0; c < 8; ++c)
                     w[c] = x.ptr<const uint8_t>() + min64(8 * i + c, rows - 1) * blocks * bytes;
                   uint8_t* to = out.ptr<uint8_t>() + i * of_eight;
                   uint8_t* const last = to + of_eight;
                   for (int64_t b = 0; b < blocks; b += 2) {
                     const int64_t pair = min64(2, blocks - b);
                     for (int64_t j = b; j < b + pair; ++j)
                       to = beside_each_other(w, j * bytes, head, 2, to);
                     for (int64_t j = b; j < b + pair; ++j)
                       to = beside_each_other(w, j * bytes + head, bytes - head, 4, to);
                   }
                   memset(to, 0, last - to);
                 }
               });
  return nullptr;
}

}  // namespace

void register_interleaved(KernelTable& t) { t.add("interleave", "out:out x:in", interleave); }
#else
void register_interleaved(KernelTable&) {}
#endif
#endif

}  // namespace tl::TL_ISA
