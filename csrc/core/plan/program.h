// A saved program: plans that share weights and states, and what a runtime needs beside them, read
// in place from the bytes of a .tlw file (docs/formats/tlw.md).
#pragma once
#include <memory>

#include "plan.h"

namespace tl {

// Bytes of the file, by name: a tokenizer, settings.
struct Section {
  std::string name;
  const std::byte* data = nullptr;
  size_t bytes = 0;
  uint64_t checksum = 0;
};

class Program {
 public:
  Program() = default;
  Program(const Program&) = delete;

  // One plan of it, with the names of its inputs and outputs.
  struct Entry {
    std::string name;
    std::vector<std::string> inputs, outputs;
    std::unique_ptr<Plan> plan;
  };

  // Takes over one reference to `owner`, which keeps the bytes. Null: `error` says why.
  static std::unique_ptr<Program> open(const std::byte* data, size_t bytes, void (*release)(void*),
                                       void* owner, Error& error);

  const std::vector<Section>& sections() const { return sections_; }
  std::vector<Entry>& entries() { return entries_; }
  const Section* section(const char* name) const;
  Entry* entry(const char* name);

  // Sets the sizes of an entry, by the order of its symbols; states whose size changes are zeros.
  bool set(Entry& entry, const std::vector<int64_t>& sizes, Error& error);
  // All states hold zeros again.
  void clear_states();
  // Reads the whole file and compares what it holds with its checksums.
  bool verify(Error& error) const;

 private:
  friend class ProgramReader;
  struct Shared {
    Role role;
    std::string name;
    uint64_t checksum = 0;
    int64_t bytes = 0;
    Array held;  // weights and constants: in the file; states: once their size is known
  };
  Array file_;  // keeps the bytes that sections point to
  std::vector<Shared> shared_;
  std::vector<Section> sections_;
  std::vector<Entry> entries_;
};

}  // namespace tl
