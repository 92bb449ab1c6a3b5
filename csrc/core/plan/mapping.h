// A file in memory, read-only, mapped where the system can.
#pragma once
#include "../error.h"

namespace tl {

struct Mapping {
  const std::byte* data = nullptr;
  size_t bytes = 0;
  void* owner = nullptr;  // for unmap
};

bool map_file(const char* path, Mapping& mapping, Error& error);
void unmap(void* owner);

}  // namespace tl
