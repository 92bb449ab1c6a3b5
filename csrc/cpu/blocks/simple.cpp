// The kernels of the formats of the family "simple" in blocks.def.
#include "kernels_of.h"

namespace tl::TL_ISA {
template void add_kernels<Family::simple>(BlockKernels*);
}  // namespace tl::TL_ISA
