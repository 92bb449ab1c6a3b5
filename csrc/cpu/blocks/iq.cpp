// The kernels of the formats of the family "iq" in blocks.def.
#include "kernels_of.h"

namespace tl::TL_ISA {
template void add_kernels<Family::iq>(BlockKernels*);
}  // namespace tl::TL_ISA
