// The table of all block formats' kernels.
#include "../quant_blocks.h"

namespace tl::TL_ISA {

enum class Family { simple, small, kquants, lookup, iq };
template <Family kFamily>
void add_kernels(BlockKernels* table);

const BlockKernels* block_kernels(DType dtype) {
  struct Table {
    BlockKernels row[kDTypeCount];
    Table() {
      add_kernels<Family::simple>(row);
      add_kernels<Family::small>(row);
      add_kernels<Family::kquants>(row);
      add_kernels<Family::lookup>(row);
      add_kernels<Family::iq>(row);
    }
  };
  static const Table table;
  const BlockKernels& found = table.row[static_cast<int>(dtype)];
  return found.unpack ? &found : nullptr;
}

}  // namespace tl::TL_ISA
