// Expands the packed codebooks at compile time.
#include "grids.h"

#include "grid_codes.h"

namespace tl {
namespace {

template <class T, int kCount, int kLevels>
constexpr Grid<T, kCount> expand(const uint16_t (&codes)[kCount],
                                 const uint8_t (&levels)[kLevels]) {
  constexpr int kWidth = sizeof(T) == 8 ? 2 : 3;
  Grid<T, kCount> made{};
  for (int i = 0; i < kCount; ++i) {
    for (int e = 0; e < static_cast<int>(sizeof(T)); ++e) {
      T level = levels[codes[i] >> kWidth * e & ((1 << kWidth) - 1)];
      made.entry[i] |= level << 8 * e;
    }
  }
  return made;
}

}  // namespace

constexpr Grid<uint64_t, 2048> kIq1Bytes = expand<uint64_t>(kIq1sCodes, kIq1ByteLevels);
constexpr Grid<uint64_t, 256> kIq2xxsGrid = expand<uint64_t>(kIq2xxsCodes, kIq2Levels);
constexpr Grid<uint64_t, 512> kIq2xsGrid = expand<uint64_t>(kIq2xsCodes, kIq2Levels);
constexpr Grid<uint64_t, 1024> kIq2sGrid = expand<uint64_t>(kIq2sCodes, kIq2Levels);
constexpr Grid<uint32_t, 256> kIq3xxsHalves = expand<uint32_t>(kIq3xxsCodes, kIq3xxsHalfLevels);
constexpr Grid<uint32_t, 512> kIq3sGrid = expand<uint32_t>(kIq3sCodes, kIq3sLevels);

}  // namespace tl
