// The kernels of the formats of the family "lookup" in blocks.def.
#include "kernels_of.h"

namespace tl::TL_ISA {
template void add_kernels<Family::lookup>(BlockKernels*);
}  // namespace tl::TL_ISA
