#include "mapping.h"

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tl {
namespace {

struct Owner {
  void* data;
  size_t bytes;
};

}  // namespace

bool map_file(const char* path, Mapping& mapping, Error& error) {
  const auto refuse = [&](const char* why) {
    return error.set(ErrorKind::argument, path, "expected a file that can be read, got %s", why);
  };
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat facts = {};
  if (file < 0) return refuse(strerror(errno));
  if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) {
    close(file);
    return refuse(S_ISREG(facts.st_mode) ? "an empty one" : "something else");
  }
  const auto bytes = static_cast<size_t>(facts.st_size);
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  const int reason = errno;
  close(file);  // the mapping stays
  if (data == MAP_FAILED) return refuse(strerror(reason));
#ifdef MADV_HUGEPAGE
  // A plea: what the file cache holds in large pages costs fewer translations to read
  // (docs/log.md).
  constexpr size_t kLarge = 16u << 20;
  if (bytes >= kLarge) static_cast<void>(madvise(data, bytes, MADV_HUGEPAGE));
#endif
  mapping = {static_cast<const std::byte*>(data), bytes, new Owner{data, bytes}};
  return true;
}

void unmap(void* raw) {
  auto* owner = static_cast<Owner*>(raw);
  munmap(owner->data, owner->bytes);
  delete owner;
}

}  // namespace tl

#else  // where there are no files, programs are opened on bytes

namespace tl {

bool map_file(const char* path, Mapping&, Error& error) {
  return error.set(ErrorKind::argument, path, "expected a system that maps files, got another");
}
void unmap(void*) {}

}  // namespace tl

#endif
