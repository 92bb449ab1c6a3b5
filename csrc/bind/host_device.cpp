// A device for tests, that has the CPU's memory and a few of its kernels: what a back-end
// registers. Its addresses differ from those of the memory in one bit, so that code of the host
// which takes them for its own ends at once instead of giving a right answer.
#include <cstring>
#include <utility>

#include "../core/alloc.h"
#include "bind.h"

namespace tl::bind {
namespace {

constexpr int kMostKernels = 128;
const Kernel* own[kMostKernels];  // of the CPU, by the place in the device's table
KernelTable table;
Backend backend;

std::byte* mirrored(const std::byte* data) {  // to the other side, there and back
  constexpr int kBit = sizeof(void*) == 8 ? 50 : 31;
  return reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(data) ^ uintptr_t{1} << kBit);
}

const char* run_on_host(const Kernel& kernel, const Arg* args, int n) {
  View views[kMaxArgs];
  Arg list[kMaxArgs];
  for (int i = 0; i < n; ++i) {
    list[i] = args[i];
    if (args[i].kind != Arg::array) continue;
    views[i] = *args[i].a;
    views[i].data = mirrored(views[i].data);
    list[i].a = &views[i];
  }
  return run_kernel(kernel, list, n);
}

// A kernel function is told no more than its arguments: so there is one for each place.
template <int i>
const char* run_place(const Arg* args, int n) {
  return run_on_host(*own[i], args, n);
}
template <int... i>
KernelFn function_of(int place, std::integer_sequence<int, i...>) {
  static constexpr KernelFn functions[] = {run_place<i>...};
  return functions[place];
}

int add(const char* name, nb::iterable names) {
  if (backend.name) raise("DeviceError", "device", "there is one already");
  int n = 0;
  for (nb::handle each : names) {
    const char* text = nb::cast<const char*>(each);
    const Kernel* kernel = kernels().find(text);
    if (!kernel || n == kMostKernels)
      raise("ArgumentError", "device", std::string("expected a kernel of the CPU, got ") + text);
    own[n] = kernel;
    table.add(kernel->name, kernel->signature,
              function_of(n++, std::make_integer_sequence<int, kMostKernels>()));
  }
  backend = {
      strdup(name),  // for good
      [](size_t bytes) {
        void* memory = pool_alloc(bytes);
        return memory ? mirrored(static_cast<std::byte*>(memory)) : nullptr;
      },
      [](std::byte* data, size_t bytes) { pool_free(mirrored(data), bytes); },
      [](std::byte* to, const std::byte* from, size_t bytes) { memcpy(mirrored(to), from, bytes); },
      [](std::byte* to, const std::byte* from, size_t bytes) { memcpy(to, mirrored(from), bytes); },
      &table,
  };
  Device device;
  if (const char* error = add_backend(backend, device)) raise("DeviceError", "device", error);
  return device.type;
}

}  // namespace

void bind_host_device(nb::module_& m) { m.def("add_host_device", &add); }

}  // namespace tl::bind
