// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): the checksum of saved plans.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tl {

uint64_t xxh64(const void* data, size_t bytes, uint64_t seed = 0);

}  // namespace tl
