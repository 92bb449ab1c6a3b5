// The kernels of the formats of the family "small" in blocks.def.
#include "kernels_of.h"

namespace tl::TL_ISA {
template void add_kernels<Family::small>(BlockKernels*);
}  // namespace tl::TL_ISA
