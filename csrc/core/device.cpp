#include "device.h"

#include <atomic>
#include <cstring>

namespace tl {
namespace {

// Written before the count that shows it, and never changed.
const Backend* backends[kMostBackends];
std::atomic<int> count{0};

// Null, or the name of a kernel that means something else on the CPU.
const char* differing(const KernelTable& table) {
  for (const Kernel& kernel : table) {
    const Kernel* own = kernels().find(kernel.name);
    if (own && strcmp(own->signature, kernel.signature) != 0) return kernel.name;
  }
  return nullptr;
}

}  // namespace

const char* add_backend(const Backend& backend, Device& device) {
  const int n = count.load(std::memory_order_acquire);
  if (n == kMostBackends) return "there are as many devices as there can be";
  for (int i = 0; i < Device::others + n; ++i) {
    if (strcmp(name_of({static_cast<Device::Type>(i)}), backend.name) == 0)
      return "there is a device of this name";
  }
  if (!backend.kernels->find("copy")) return "a device needs the kernel copy";
  if (differing(*backend.kernels)) return "a kernel's signature differs from that of the CPU's";
  backends[n] = &backend;
  device = {static_cast<Device::Type>(Device::others + n)};
  count.store(n + 1, std::memory_order_release);
  return nullptr;
}

int device_count() { return Device::others + count.load(std::memory_order_acquire); }

const Backend* backend_of(Device device) {
  return device.type < Device::others ? nullptr : backends[device.type - Device::others];
}

const char* name_of(Device device) {
  if (const Backend* backend = backend_of(device)) return backend->name;
  return device.type == Device::meta ? "meta" : "cpu";
}

const KernelTable* kernels(Device device) {
  if (device.type == Device::cpu) return &kernels();
  const Backend* backend = backend_of(device);
  return backend ? backend->kernels : nullptr;
}

}  // namespace tl
