// The formats of the family "simple" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<FormatGroup::simple>(BlockFormat*);
}  // namespace tl::TL_ISA
