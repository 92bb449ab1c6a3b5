// Which instruction sets there are kernels of.
#pragma once

namespace tl {

// The sets that TALLOW_ISA may name on this CPU, the plainest first; null after the last one.
const char* runnable_isa(int i);

}  // namespace tl
