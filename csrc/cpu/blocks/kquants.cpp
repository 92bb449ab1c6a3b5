// The formats of the family "kquants" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<FormatGroup::kquants>(BlockFormat*);
}  // namespace tl::TL_ISA
