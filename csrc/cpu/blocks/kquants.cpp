// The kernels of the formats of the family "kquants" in blocks.def.
#include "kernels_of.h"

namespace tl::TL_ISA {
template void add_kernels<Family::kquants>(BlockKernels*);
}  // namespace tl::TL_ISA
