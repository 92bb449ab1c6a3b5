// Devices besides the CPU: a back-end adds one by its name, its memory and its table of kernels.
#pragma once
#include "array.h"
#include "kernel.h"

namespace tl {

// What the core has to know of a device. It reads and writes nothing at the addresses that
// `allocate` gives (which need not be the host's), but counts on from them for views; kernels get
// them in `View::data`. All functions may be called on any thread.
struct Backend {
  const char* name;                      // as users write it: "cuda"
  std::byte* (*allocate)(size_t bytes);  // null when memory is out
  void (*release)(std::byte* data, size_t bytes);
  void (*from_host)(std::byte* to, const std::byte* from, size_t bytes);
  void (*to_host)(std::byte* to, const std::byte* from, size_t bytes);
  // Those it has, under the names and signatures of the CPU's. An op whose kernel is not there
  // runs by its reference; `copy`, of all strides and dtypes, is what no device can do without.
  const KernelTable* kernels;
};

constexpr int kMostBackends = 8;

// Adds a device, for good: `backend` and what it points to stay. Null, or why it cannot be.
const char* add_backend(const Backend& backend, Device& device);

int device_count();                        // the number behind the last Device::Type
const Backend* backend_of(Device device);  // null for `cpu` and `meta`
const char* name_of(Device device);        // "cpu", "meta", …
// The kernels of a device; null where nothing is computed, since there is no memory (`meta`).
const KernelTable* kernels(Device device);

}  // namespace tl
