// Winograd's way for 3 × 3 kernels of stride 1 (Lavin & Gray 2016): to be written.
#include "conv.h"

namespace tl::TL_ISA {

bool winograd_fits(const Conv&) { return false; }
const char* winograd(const Conv&) { return "conv: no Winograd"; }

}  // namespace tl::TL_ISA
