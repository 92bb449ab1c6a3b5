// tallow._native.start_trace and stop_trace: the calls of all threads, as tallow.profiling reads
// them.
#include "../core/trace.h"

#include "bind.h"

namespace tl::bind {

void bind_trace(nb::module_& m) {
  m.def("start_trace", [] {
    if (!start_trace()) raise("ArgumentError", "profile", "another one is running");
  });
  // (records as in core/trace.h, (name, signature) of the kernels, how many were left out)
  m.def("stop_trace", [] {
    const Trace trace = stop_trace();
    nb::list kernels;
    for (int i = 0; i < trace.count; ++i)
      kernels.append(nb::make_tuple(trace.kernels[i]->name, trace.kernels[i]->signature));
    return nb::make_tuple(nb::bytes(trace.words.data(), trace.words.size() * sizeof(int64_t)),
                          kernels, trace.left_out);
  });
}

}  // namespace tl::bind
