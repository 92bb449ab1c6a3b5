// The table of all block formats, and their floats.
#include "unpack.h"

namespace tl::TL_ISA {

enum class FormatGroup { simple, small, kquants, lookup, iq };
template <FormatGroup kGroup>
void add_formats(BlockFormat* table);

const BlockFormat* block_format(DType dtype) {
  struct Table {
    BlockFormat row[kDTypeCount];
    Table() {
      add_formats<FormatGroup::simple>(row);
      add_formats<FormatGroup::small>(row);
      add_formats<FormatGroup::kquants>(row);
      add_formats<FormatGroup::lookup>(row);
      add_formats<FormatGroup::iq>(row);
    }
  };
  static const Table table;
  const BlockFormat& found = table.row[static_cast<int>(dtype)];
  return found.unpack ? &found : nullptr;
}

namespace {

template <BlockFormat::Kind kKind>
void write_units(const uint8_t* q, const float* d, const float* m, int64_t units, int group,
                 int shift, float* out) {
  const int per = 32 / group;
  for (int64_t u = 0; u < units; ++u, q += 32, d += per, m += per) {
    each_float<kKind == BlockFormat::plain>(load32(q), [&](int e, f32x8 v) {
      const int g = per == 2 ? e / 16 : 0;
      if constexpr (kKind == BlockFormat::shifted) v = v + static_cast<float>(shift);
      v = v * d[g];
      if constexpr (kKind == BlockFormat::minimum) v = v + m[g];
      store_at(out + e, v);
    });
    out += 32;
  }
}

}  // namespace

void block_floats(const BlockFormat& f, const uint8_t* b, int64_t count, float* out) {
  constexpr int kUnits = 8;  // at once
  alignas(32) uint8_t q[kUnits * 32];
  alignas(32) float d[2 * kUnits + 8], m[2 * kUnits + 8];
  const int64_t run = f.units < kUnits ? kUnits / f.units : 1;
  for (int64_t i = 0; i < count; i += run, b += run * f.bytes) {
    const int64_t here = count - i < run ? count - i : run, units = here * f.units;
    f.scales(b, here, d, m);
    f.values(b, here, q);
    auto* write = f.kind == BlockFormat::minimum ? write_units<BlockFormat::minimum>
                  : f.kind == BlockFormat::plain ? write_units<BlockFormat::plain>
                                                 : write_units<BlockFormat::shifted>;
    write(q, d, m, units, f.group, f.shift, out);
    out += units * 32;
  }
}

}  // namespace tl::TL_ISA
