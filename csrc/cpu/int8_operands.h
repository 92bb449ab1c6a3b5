// Rows and columns of bytes, packed for the tile kernels, with what their zero points need.
#pragma once
#include "../core/alloc.h"
#include "../core/kernel.h"
#include "../core/parallel.h"
#include "gemm.h"
#include "simd/int8_tile.h"

namespace tl::TL_ISA {

// Bytes go into the product as they are (rows signed, columns unsigned, which takes an exclusive or
// with 128), and zero points come off the sums; where the set has no products of any byte, both are
// 16-bit numbers without their zero points.
inline constexpr bool kWords = !kAnyByte;
using BytesTile = Tile<255, 32, Extra::none, kWords>;
inline constexpr int kAcross = 2 * kTileColumns;
inline constexpr int64_t kUnitBytes = 2 * BytesTile::kBytes;  // of a panel: two tiles × 32 deep

// Where words stand for bytes, columns that are packed once may be pairs instead: signed bytes, by
// four, none of whose neighbours' products leave 16 bits beside unsigned rows. Where two could, the
// second one is a zero, and stands in an extra step. That is a quarter less time.
inline constexpr int64_t kStepBytes = 4 * kAcross;
constexpr int64_t most_extra(int64_t units) { return 3 * units; }  // more, and words are as fast

// A zero point each, or one for all, or none: `step` is 1 or 0.
struct Zeros {
  const uint8_t* data = nullptr;
  int64_t step = 0;
  bool is_signed = false;
  // As a number, beside values that are made signed (or unsigned) by an exclusive or.
  TL_INLINE int at(int64_t i, bool to_signed) const {
    const int value = data ? data[i * step] : 0;
    const int raw = is_signed ? static_cast<int8_t>(value) : value;
    return raw + (to_signed ? (is_signed ? 0 : -128) : (is_signed ? 128 : 0));
  }
  TL_INLINE uint8_t byte(int64_t i) const { return data ? data[i * step] : 0; }
};

// Rows of one product, packed: groups of kTileRows, of each unit 32 numbers a row.
struct PackedRows {
  BytesTile::Activation* q;
  char* terms;  // i32s: Σ of a row's numbers; of words, -Σ of the products of halves
  int64_t units;
  bool pairs = false;  // rows are unsigned bytes, for columns in pairs
  static int64_t padded(int64_t rows) { return ceil_div(rows, kTileRows) * kTileRows; }
  static size_t bytes(int64_t rows, int64_t units) {
    return padded(rows) * (units * 32 * sizeof(BytesTile::Activation) + sizeof(int32_t));
  }
  TL_INLINE BytesTile::Activation* at(int64_t row, int64_t unit) const {
    return q + (row / kTileRows * units + unit) * 32 * kTileRows + row % kTileRows * 32;
  }
  TL_INLINE uint8_t* bytes_at(int64_t row, int64_t unit) const {
    return reinterpret_cast<uint8_t*>(q) + (row / kTileRows * units + unit) * 32 * kTileRows +
           row % kTileRows * 32;
  }
  TL_INLINE int32_t term(int64_t row) const {
    int32_t found;
    memcpy(&found, terms + 4 * row, 4);
    return found;
  }
  void pack_pairs(const uint8_t* from, int64_t k, int64_t row, bool is_signed) const {
    const uint8_t flip = is_signed ? 128 : 0;
    i32x8 sum{};
    for (int64_t u = 0; u < units; ++u) {
      alignas(32) uint8_t part[32] = {};
      const int64_t here = min64(32, k - 32 * u);
      if (here < 32)
        for (int64_t i = 0; i < here; ++i) part[i] = from[32 * u + i] ^ flip;
      const b32 x = here < 32 ? load32(part) : load32(from + 32 * u) ^ splat32(flip);
      store32(bytes_at(row, u), x);
      sum += dot4(x, splat32(1));
    }
    const int32_t own = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    memcpy(terms + 4 * row, &own, 4);
  }
  // Packs a row of k contiguous bytes.
  void pack(const uint8_t* from, int64_t k, int64_t row, bool is_signed, int zero) const {
    const b32 flip = splat32(is_signed ? 0 : 128);
    i32x8 sum{};
    int32_t own = 0;
    for (int64_t u = 0; u < units; ++u) {
      const int64_t here = min64(32, k - 32 * u);
      alignas(32) uint8_t part[32];
      b32 x;
      if (here == 32) {
        x = load32(from + 32 * u) ^ flip;
      } else {  // what is missing is zero, that is, the zero point where that comes off
        memset(part, kWords ? zero : 0, 32);
        for (int64_t i = 0; i < here; ++i) part[i] = from[32 * u + i] ^ (is_signed ? 0 : 128);
        x = load32(part);
      }
      b16 half[2];
      memcpy(half, &x, 32);
      const i16x16 a = signed16(half[0]), b = signed16(half[1]);
      if constexpr (kWords) {
        const i16x16 z = i16x16{} + static_cast<int16_t>(zero);
        store_at(at(row, u), a - z), store_at(at(row, u) + 16, b - z);
        own += BytesTile::own_products(a - z, b - z);
      } else {
        store32(at(row, u), x);
        sum = add_dot2(sum, a, i16x16{} + 1);
        sum = add_dot2(sum, b, i16x16{} + 1);
      }
    }
    for (int i = 0; i < 8; ++i) own += kWords ? 0 : sum[i];
    memcpy(terms + 4 * row, &own, 4);
  }
};

// Where the numbers of kAcross columns stand: those of depth p at base + offsets[p].
struct Columns {
  const uint8_t* base;
  const int64_t* offsets;
  int64_t k;
  bool is_signed;
};

// A panel: two tiles for each unit, and what belongs to each column.
struct Panel8 {
  uint8_t* tiles;  // units of the first tile, then those of the second
  int64_t units;
  int32_t zeros[kAcross], terms[kAcross];
  int64_t extra = -1;                // steps in pairs beside 8 a unit; -1: not in pairs
  const int32_t* offsets = nullptr;  // of the extra steps in rows

  TL_INLINE int64_t tile_step() const { return units * BytesTile::kBytes; }
  // Of a panel that is kept: zeros and terms, then the tiles, on 64 bytes.
  static TL_INLINE int64_t bytes(int64_t units) { return 512 + units * kUnitBytes; }
  // Behind the zeros, how many extra steps there are, and one more.
  static constexpr int64_t kExtraAt = 128;
  TL_INLINE void keep(uint8_t* to) const {
    const int32_t marked = static_cast<int32_t>(extra + 1);
    memcpy(to, zeros, sizeof(zeros)), memcpy(to + 256, terms, sizeof(terms));
    if (kWords) memcpy(to + kExtraAt, &marked, 4);
  }
  static TL_INLINE bool in_pairs(const uint8_t* at) {
    int32_t marked;
    memcpy(&marked, at + kExtraAt, 4);
    return kWords && marked != 0;
  }
  // `scratch` of kUnitBytes a unit.
  static TL_INLINE Panel8 kept(const uint8_t* at, int64_t units, bool pairs, char* scratch) {
    Panel8 panel{const_cast<uint8_t*>(at) + 512, units, {}, {}};
    memcpy(panel.zeros, at, sizeof(zeros)), memcpy(panel.terms, at + 256, sizeof(terms));
    if (pairs) panel.find_extra(at, scratch);
    return panel;
  }
  // Whatever stands there, within the panel and the rows.
  void find_extra(const uint8_t* at, char* scratch) {
    int32_t marked;
    memcpy(&marked, at + kExtraAt, 4);
    extra = max64(0, min64(marked - int64_t{1}, most_extra(units)));
    auto* to = reinterpret_cast<int32_t*>(scratch);
    const uint8_t* steps = tiles + (8 * units + most_extra(units)) * kStepBytes;
    for (int64_t i = 0; i < extra; ++i) {
      uint32_t step;
      memcpy(&step, steps + 4 * i, 4);
      step = static_cast<uint32_t>(min64(step, 8 * units - 1));
      to[i] = static_cast<int32_t>(step / 8 * 32 * kTileRows + step % 8 * 4);
    }
    offsets = to;
  }

  // Columns `first` … `first` + used - 1, at most kAcross.
  void pack(const Columns& c, int64_t first, int64_t used, const Zeros& zero) {
    alignas(32) uint8_t lines[32][kAcross], nothing[kAcross];
    int16_t words[2 * kAcross];
    for (int64_t j = 0; j < kAcross; ++j) {
      const int64_t at = first + min64(j, used - 1);
      zeros[j] = kWords ? -1 : zero.at(at, false);
      const int z = zero.at(at, true);
      words[2 * j] = words[2 * j + 1] = static_cast<int16_t>(z);
      nothing[j] = kWords ? zero.byte(at) : c.is_signed ? 128 : 0;
    }
    const uint8_t* from[32];
    for (int64_t u = 0; u < units; ++u) {
      find_lines(c, first, used, u, nothing, lines, from);
      if constexpr (kWords)
        pack_words(from, c.is_signed, words, tiles + u * BytesTile::kBytes);
      else
        pack_bytes(from, c.is_signed, tiles + u * BytesTile::kBytes);
    }
    sum_columns(c.k);
  }

  // In pairs; false if there are too many extra steps.
  bool pack_pairs(const Columns& c, int64_t first, int64_t used, const Zeros& zero) {
    alignas(32) uint8_t lines[32][kAcross], nothing[kAcross];
    i32x8 sums[2] = {};
    const uint8_t flip = c.is_signed ? 0 : 128;
    memset(nothing, flip, kAcross);
    const uint8_t* from[32];
    uint8_t* steps = tiles + (8 * units + most_extra(units)) * kStepBytes;
    extra = 0;
    for (int64_t u = 0; u < units; ++u) {
      find_lines(c, first, used, u, nothing, lines, from);
      for (int i = 0; i < 8; ++i) {
        uint8_t* step = tiles + (8 * u + i) * kStepBytes;
        b16 r[4];
        for (int j = 0; j < 4; ++j) r[j] = load_as<b16>(from[4 * i + j]) ^ flip;
        interleave(r, [step](int column, auto x) { store_at(step + 4 * column, x); });
        for (int t = 0; t < 2; ++t) sums[t] += dot4(splat32(1), load32(step + 32 * t));
        alignas(32) uint8_t more[kStepBytes];
        if (split_pairs(step, more)) continue;
        if (extra == most_extra(units)) return false;
        const auto which = static_cast<int32_t>(8 * u + i);
        memcpy(steps + 4 * extra, &which, 4);
        memcpy(tiles + (8 * units + extra++) * kStepBytes, more, kStepBytes);
      }
    }
    for (int64_t j = 0; j < kAcross; ++j) {
      zeros[j] = zero.at(first + min64(j, used - 1), true);
      terms[j] = static_cast<int32_t>(static_cast<uint32_t>(c.k) * static_cast<uint32_t>(zeros[j]) -
                                      static_cast<uint32_t>(sums[j / 8][j % 8]));
    }
    return true;
  }

 private:
  // The lines of unit u, those that are not whole as copies.
  TL_INLINE void find_lines(const Columns& c, int64_t first, int64_t used, int64_t u,
                            const uint8_t* nothing, uint8_t (*lines)[kAcross],
                            const uint8_t** from) const {
    for (int64_t i = 0; i < 32; ++i) {
      const int64_t p = 32 * u + i;
      from[i] = p < c.k ? c.base + c.offsets[p] + first : nothing;
      if (used == kAcross || p >= c.k) continue;
      memcpy(lines[i], nothing, kAcross);
      memcpy(lines[i], from[i], used);
      from[i] = lines[i];
    }
  }
  // Two neighbours times 255 fit into 16 bits where those of one sign add up to at most 128. Else
  // the second one goes to `more`.
  static TL_INLINE bool split_pairs(uint8_t* step, uint8_t* more) {
    i16x16 any{};
    for (int t = 0; t < 2; ++t) {
      const i16x16 both = load_as<i16x16>(step + 32 * t), second = both >> 8,
                   first = (i16x16)((u16x16)both << 8) >> 8, sum = first + second;
      const i16x16 bad = ((sum > 128) | (sum < -128)) & ((first ^ second) >= 0);
      const i16x16 moved = both & bad & static_cast<int16_t>(-256);
      store_at(step + 32 * t, both ^ moved), store_at(more + 32 * t, moved);
      any |= moved;
    }
    return least_byte(~(b32)any) == 255;
  }
  // Four lines of 16 bytes to four bytes of each column: store(column, those of four).
  template <class F>
  static TL_INLINE void interleave(const b16* r, const F& store) {
    typedef Simd<uint16_t, 8> W;
    const W ab[] = {(W)low_pairs(r[0], r[1]), (W)high_pairs(r[0], r[1])};
    const W cd[] = {(W)low_pairs(r[2], r[3]), (W)high_pairs(r[2], r[3])};
    for (int j = 0; j < 4; ++j) {
      const W a = ab[j / 2], b = cd[j / 2];
      const W x = j % 2 == 0 ? __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
                             : __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
      store(4 * j, x);
    }
  }
  TL_INLINE void pack_words(const uint8_t* const* from, bool is_signed, const int16_t* words,
                            uint8_t* to) const {
    const uint8_t once = is_signed ? 0 : 128;
    const b16 flip = b16{} + once;
    const i16x16 z0 = load_as<i16x16>(words), z1 = load_as<i16x16>(words + 16);
    for (int i = 0; i < 16; ++i) {
      const b16 a = load_as<b16>(from[2 * i]) ^ flip, b = load_as<b16>(from[2 * i + 1]) ^ flip;
      uint8_t* at = to + 256 * (i / 8) + 32 * (i % 8);
      store_at(at, signed16(low_pairs(a, b)) - z0);
      store_at(at + tile_step(), signed16(high_pairs(a, b)) - z1);
    }
  }
  static TL_INLINE b16 low_pairs(b16 a, b16 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
  static TL_INLINE b16 high_pairs(b16 a, b16 b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
  }
  // Four lines of kAcross bytes to four bytes of each column.
  TL_INLINE void pack_bytes(const uint8_t* const* from, bool is_signed, uint8_t* to) const {
    const uint8_t once = is_signed ? 128 : 0;
    const b16 flip = b16{} + once;
    for (int i = 0; i < 8; ++i) {
      for (int part = 0; part < kAcross; part += 16) {
        b16 r[4];
        for (int j = 0; j < 4; ++j) r[j] = load_as<b16>(from[4 * i + j] + part) ^ flip;
        interleave(r, [&](int four, auto x) {
          const int column = part + four;
          store_at(to + column / kTileColumns * tile_step() +
                       4 * (kTileColumns * i + column % kTileColumns),
                   x);
        });
      }
    }
  }
  // What each column adds to its sums: of bytes k·zero - Σ, of words -Σ of the products of halves.
  TL_INLINE void sum_columns(int64_t k) {
    ti sums[2] = {};
    for (int64_t u = 0; u < units; ++u) {
      const uint8_t* w = tiles + u * BytesTile::kBytes;
      if constexpr (kWords) {
        i32x8* own = reinterpret_cast<i32x8*>(sums);  // of tiles of 8 columns
        own[0] += BytesTile::own_products(w), own[1] += BytesTile::own_products(w + tile_step());
      } else {
        int8_t ones[32];
        memset(ones, 1, 32);
        ti here[1][2];
        tile_dots<255, 8, 1>(w, tile_step(), ones, here);
        sums[0] -= here[0][0], sums[1] -= here[0][1];
      }
    }
    memcpy(terms, sums, sizeof(terms));
    if (!kWords)
      for (int j = 0; j < kAcross; ++j)
        terms[j] = static_cast<int32_t>(static_cast<uint32_t>(terms[j]) +
                                        static_cast<uint32_t>(k) * static_cast<uint32_t>(zeros[j]));
  }
};

}  // namespace tl::TL_ISA
