// What products and convolutions of 8-bit integers share: rows and columns packed for the tile
// kernels, sums without zero points, and their ends.
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

// What becomes of sums: see ops/integer.py. `by_row`: scale, bias are of rows; else of columns.
struct Ends {
  DType dtype = DType::i32;
  const float* scale = nullptr;
  const void* bias = nullptr;  // f32 beside f32, i32 beside bytes
  int64_t scale_step = 0, bias_step = 0;
  bool by_row = false;
  int zero = 0;
  TL_INLINE int64_t itemsize() const { return dtype == DType::i32 || dtype == DType::f32 ? 4 : 1; }
};

// Rows of one product, packed: groups of kTileRows, of each unit 32 numbers a row.
struct PackedRows {
  BytesTile::Activation* q;
  char* terms;  // i32s: Σ of a row's numbers; of words, -Σ of the products of halves
  int64_t units;
  static int64_t padded(int64_t rows) { return ceil_div(rows, kTileRows) * kTileRows; }
  static size_t bytes(int64_t rows, int64_t units) {
    return padded(rows) * (units * 32 * sizeof(BytesTile::Activation) + sizeof(int32_t));
  }
  TL_INLINE BytesTile::Activation* at(int64_t row, int64_t unit) const {
    return q + (row / kTileRows * units + unit) * 32 * kTileRows + row % kTileRows * 32;
  }
  TL_INLINE int32_t term(int64_t row) const {
    int32_t found;
    memcpy(&found, terms + 4 * row, 4);
    return found;
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

  TL_INLINE int64_t tile_step() const { return units * BytesTile::kBytes; }
  // Of a panel that is kept: zeros and terms, then the tiles, on 64 bytes.
  static TL_INLINE int64_t bytes(int64_t units) { return 512 + units * kUnitBytes; }
  TL_INLINE void keep(uint8_t* to) const {
    memcpy(to, zeros, sizeof(zeros)), memcpy(to + 256, terms, sizeof(terms));
  }
  static TL_INLINE Panel8 kept(const uint8_t* at, int64_t units) {
    Panel8 panel{const_cast<uint8_t*>(at) + 512, units, {}, {}};
    memcpy(panel.zeros, at, sizeof(zeros)), memcpy(panel.terms, at + 256, sizeof(terms));
    return panel;
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
      for (int64_t i = 0; i < 32; ++i) {
        const int64_t p = 32 * u + i;
        from[i] = p < c.k ? c.base + c.offsets[p] + first : nothing;
        if (used == kAcross || p >= c.k) continue;
        memcpy(lines[i], nothing, kAcross);
        memcpy(lines[i], from[i], used);
        from[i] = lines[i];
      }
      if constexpr (kWords)
        pack_words(from, c.is_signed, words, tiles + u * BytesTile::kBytes);
      else
        pack_bytes(from, c.is_signed, tiles + u * BytesTile::kBytes);
    }
    sum_columns(c.k);
  }

 private:
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
    typedef Simd<uint16_t, 8> W;
    const uint8_t once = is_signed ? 128 : 0;
    const b16 flip = b16{} + once;
    for (int i = 0; i < 8; ++i) {
      for (int part = 0; part < kAcross; part += 16) {
        b16 r[4];
        for (int j = 0; j < 4; ++j) r[j] = load_as<b16>(from[4 * i + j] + part) ^ flip;
        const W ab[] = {(W)low_pairs(r[0], r[1]), (W)high_pairs(r[0], r[1])};
        const W cd[] = {(W)low_pairs(r[2], r[3]), (W)high_pairs(r[2], r[3])};
        for (int j = 0; j < 4; ++j) {
          const W a = ab[j / 2], b = cd[j / 2];
          const W x = j % 2 == 0 ? __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
                                 : __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
          const int column = part + 4 * j;
          store_at(to + column / kTileColumns * tile_step() +
                       4 * (kTileColumns * i + column % kTileColumns),
                   x);
        }
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

// c[r][column] = products of kRows rows with a panel.
template <int kRows>
TL_INLINE void multiply_rows(const PackedRows& rows, const Panel8& panel, int64_t row, int32_t* c) {
  ti total[kRows][2] = {};
  for (int64_t u = 0; u < rows.units; ++u) {
    const uint8_t* w = panel.tiles + u * BytesTile::kBytes;
    if constexpr (kWords) {
      wide_dots(std::integral_constant<int, kRows>(), w, panel.tile_step(), rows.at(row, u), total);
    } else {
      ti sums[kRows][2];
      tile_dots<255, 8, kRows>(w, panel.tile_step(), rows.at(row, u), sums);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) total[r][0] += sums[r][0], total[r][1] += sums[r][1];
    }
  }
  memcpy(c, total, sizeof(total));
}

// Where a product's results go: rows `row_step` bytes apart; columns in order, or, with a pitch,
// `width` of every `pitch` of them.
struct Target {
  char* out;
  int64_t row_step, pitch, width;
};

// Columns of a panel that stand side by side in the result.
struct Runs {
  int count = 0;
  int64_t from[kAcross], to[kAcross], length[kAcross];

  Runs(const Target& target, int64_t first, int64_t used) {
    if (target.pitch == 0) {
      add(0, first, used);
      return;
    }
    for (int64_t j = 0; j < used;) {
      const int64_t y = (first + j) / target.pitch, x = (first + j) % target.pitch;
      const int64_t run = min64(target.pitch - x, used - j);
      if (x < target.width) add(j, y * target.width + x, min64(run, target.width - x));
      j += run;
    }
  }
  TL_INLINE void write(char* line, const char* at, int64_t itemsize) const {
    for (int i = 0; i < count; ++i)
      memcpy(line + to[i] * itemsize, at + from[i] * itemsize, length[i] * itemsize);
  }

 private:
  TL_INLINE void add(int64_t source, int64_t at, int64_t n) {
    from[count] = source, to[count] = at, length[count++] = n;
  }
};

// One product: rows × columns, with what its zero points and ends need.
struct Product {
  int64_t n;
  const PackedRows* rows;
  Columns columns;
  const uint8_t* panels;  // of the columns, packed before; or null
  Zeros row_zeros, column_zeros;
  Ends ends;
  Target target;
};

// The rows begin … end - 1 (the first a multiple of kTileRows) with panel `panel` of the columns;
// `scratch` of panel_scratch(units) bytes.
void multiply_panel8(const Product& p, int64_t panel, int64_t begin, int64_t end, char* scratch);
inline size_t panel_scratch(int64_t units) { return units * kUnitBytes + 64; }

}  // namespace tl::TL_ISA
