// The codebooks of the IQ formats, sign patterns and 4-bit value tables, as vectors of bytes. One
// copy for all instruction sets.
#pragma once
#include <cstdint>

namespace tl {

// An array that a constant expression can make.
template <class T, int kCount>
struct alignas(64) Grid {
  T entry[kCount];
  constexpr const T& operator[](int64_t i) const { return entry[i]; }
};

// Entry → 8 bytes (byte i = element i): the magnitudes 8, 25, 43 of IQ2.
extern const Grid<uint64_t, 256> kIq2xxsGrid;
extern const Grid<uint64_t, 512> kIq2xsGrid;
extern const Grid<uint64_t, 1024> kIq2sGrid;
// IQ1 in eighths, as an unsigned byte: 8·(value + 1) for the values -1, 0 and 1.
extern const Grid<uint64_t, 2048> kIq1Bytes;
// Entry → 4 bytes: the magnitudes 1, 3, … 15 of IQ3_S; those of IQ3_XXS, 4, 12, … 62, halved, so
// that they fit into 6 bits with a sign.
extern const Grid<uint32_t, 512> kIq3sGrid;
extern const Grid<uint32_t, 256> kIq3xxsHalves;

// IQ2_XXS, IQ2_XS and IQ3_XXS store 7 of 8 signs; the last one makes their number even.
constexpr uint8_t even_signs(int seven) {
  int parity = seven ^ seven >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return static_cast<uint8_t>(seven | (parity & 1) << 7);
}

// The values of a nibble: IQ4_NL and IQ4_XS; MXFP4 and NVFP4 (E2M1, doubled).
inline constexpr int8_t kIq4nlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                            1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr int8_t kE2m1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The magnitudes that the codes of grid_codes.h stand for.
inline constexpr uint8_t kIq1Levels[3] = {0xff, 0, 1};
inline constexpr uint8_t kIq1ByteLevels[3] = {0, 8, 16};
inline constexpr uint8_t kIq2Levels[3] = {8, 25, 43};
inline constexpr uint8_t kIq3xxsLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr uint8_t kIq3xxsHalfLevels[8] = {2, 6, 10, 14, 18, 22, 26, 31};
inline constexpr uint8_t kIq3sLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};

}  // namespace tl
