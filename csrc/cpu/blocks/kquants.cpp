// The formats of the family "kquants" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<Family::kquants>(BlockFormat*);
}  // namespace tl::TL_ISA
