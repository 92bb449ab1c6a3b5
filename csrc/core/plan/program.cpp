#include "program.h"

#include <cstring>

#include "../call.h"
#include "../hash.h"

namespace tl {
namespace {

constexpr char kMagic[9] = "TALLOWPL";
constexpr uint32_t kVersion = 1;
constexpr size_t kHead = 32;  // magic, version, 0, bytes of the tables, their checksum

// The file, shared by the arrays that lie in it.
struct Mapped {
  std::atomic<int64_t> refs{1};
  void (*release)(void*);
  void* owner;
};

// Names are UTF-8 without control characters (RFC 3629).
bool is_text(const std::string& name) {
  for (size_t i = 0; i < name.size();) {
    const auto first = static_cast<uint8_t>(name[i]);
    const size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first < 0x20 || first == 0x7f || (first >= 0x80 && first < 0xc2) || first > 0xf4 ||
        i + size > name.size())
      return false;
    uint32_t code = size == 1 ? first : first & (0x7f >> size);
    for (size_t k = 1; k < size; ++k) {
      const auto next = static_cast<uint8_t>(name[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    const bool shortest = size == 1 || code >= (size == 2 ? 0x80u : size == 3 ? 0x800u : 0x10000u);
    if (!shortest || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += size;
  }
  return true;
}

void let_go(void* raw) {
  auto* mapped = static_cast<Mapped*>(raw);
  if (mapped->refs.fetch_sub(1) != 1) return;
  if (mapped->release) mapped->release(mapped->owner);
  delete mapped;
}

}  // namespace

// Reads the tables from the first byte to the last; what does not fit ends it with one error.
class ProgramReader {
 public:
  ProgramReader(Program& program, const std::byte* data, size_t bytes, Mapped* mapped, Error& error)
      : program_(program), file_(data), file_bytes_(bytes), mapped_(mapped), error_(error) {}

  bool read() {
    if (!find_tables()) return false;
    const uint32_t dtypes = count(2);
    for (uint32_t i = 0; good_ && i < dtypes; ++i) read_dtype();
    const uint32_t kernels = count(3);
    for (uint32_t i = 0; good_ && i < kernels; ++i) read_kernel();
    const uint32_t shared = count(27);
    for (uint32_t i = 0; good_ && i < shared; ++i) read_shared();
    const uint32_t sections = count(26);
    for (uint32_t i = 0; good_ && i < sections; ++i) read_section();
    const uint32_t entries = count(30);
    for (uint32_t i = 0; good_ && i < entries; ++i) read_entry();
    if (good_ && at_ != end_) refuse("nothing after the last plan");
    return good_;
  }

 private:
  bool refuse(const char* wanted) {
    if (good_)
      error_.set(ErrorKind::argument, "program", "expected %s, got others at byte %lld", wanted,
                 static_cast<long long>(at_ - file_));
    return good_ = false;
  }

  // A .tlw file is a safetensors file whose first tensor is the tables.
  bool find_tables() {
    uint64_t header = 0, size = 0, checksum = 0;
    uint32_t version = 0;
    at_ = file_;
    if (file_bytes_ < 8) return refuse("a .tlw file, which has at least 8 bytes");
    memcpy(&header, file_, 8);
    if (header > file_bytes_ - 8 || file_bytes_ - 8 - header < kHead)
      return refuse("a .tlw file: a header and a plan after it");
    data_ = file_ + 8 + header;
    data_bytes_ = file_bytes_ - 8 - header;
    at_ = data_;
    if (memcmp(data_, kMagic, 8) != 0)
      return refuse("a .tlw file, whose data begins with TALLOWPL");
    memcpy(&version, data_ + 8, 4);
    memcpy(&size, data_ + 16, 8);
    memcpy(&checksum, data_ + 24, 8);
    if (version > kVersion)
      return good_ = error_.set(
                 ErrorKind::argument, "program",
                 "expected a plan of version %u or older, got %u, made by a newer Tallow", kVersion,
                 version);
    if (version == 0) return refuse("a version of at least 1");
    if (size > data_bytes_ - kHead) return refuse("all of the plan's tables: the file is cut off");
    if (xxh64(data_ + kHead, size) != checksum)
      return good_ = error_.set(ErrorKind::argument, "program",
                                "expected tables of the checksum that they have, got damaged ones");
    at_ = data_ + kHead;
    end_ = at_ + size;
    return true;
  }

  template <class T>
  T number() {
    T value{};
    if (!good_ || static_cast<size_t>(end_ - at_) < sizeof value) {
      refuse("more of the tables");
      return value;
    }
    memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  // How many rows follow, each of at least `bytes`.
  uint32_t count(size_t bytes) {
    const auto rows = number<uint32_t>();
    if (good_ && rows > static_cast<size_t>(end_ - at_) / bytes) refuse("as many rows as it says");
    return good_ ? rows : 0;
  }
  std::string text() {
    const auto length = number<uint16_t>();
    if (!good_ || length > end_ - at_) {
      refuse("whole names");
      return {};
    }
    std::string made(reinterpret_cast<const char*>(at_), length);
    if (!is_text(made)) refuse("names in UTF-8");
    at_ += length;
    return made;
  }

  void read_dtype() {
    const std::string name = text();
    for (int i = 0; i < kDTypeCount; ++i) {
      const DType d = static_cast<DType>(i);
      if (name == (d == DType::bool_ ? "bool" : row(d).name)) return dtypes_.push_back(d);
    }
    if (good_)
      good_ = error_.set(ErrorKind::dtype, "program",
                         "expected dtypes that this build has, got %.64s", name.c_str());
  }

  void read_kernel() {
    const std::string name = text(), signature = text();
    if (!good_) return;
    const Kernel* kernel = kernels().find(name.c_str());
    if (!kernel || signature != kernel->signature)
      good_ = error_.set(ErrorKind::no_kernel, "program",
                         "expected a kernel %.64s of arguments %.200s, got %.200s: it is another "
                         "version's, or this build was made without it",
                         name.c_str(), signature.c_str(), kernel ? kernel->signature : "none");
    kernels_.push_back(kernel);
  }

  // Bytes of the file at an offset from the tables' first byte.
  const std::byte* bytes_at(int64_t offset, int64_t bytes) {
    const auto limit = static_cast<int64_t>(data_bytes_);
    if (offset < 0 || bytes < 0 || offset > limit || bytes > limit - offset)
      return refuse("weights that lie in the file: it is cut off or damaged"), nullptr;
    return data_ + offset;
  }

  void read_shared() {
    Program::Shared made;
    const auto role = number<uint8_t>();
    made.name = text();
    const auto bytes = made.bytes = number<int64_t>();
    const auto offset = number<int64_t>();
    made.checksum = number<uint64_t>();
    made.role = static_cast<Role>(role);
    if (!good_) return;
    if (made.role != Role::weight && made.role != Role::constant && made.role != Role::state)
      return void(refuse("weights, constants and states"));
    if (made.role != Role::state) {
      const std::byte* at = bytes_at(offset, bytes);
      if (!at) return;
      mapped_->refs.fetch_add(1);
      made.held = Array::borrow(DType::u8, &bytes, 1, const_cast<std::byte*>(at),
                                static_cast<size_t>(bytes), false, let_go, mapped_);
      if (!made.held.ok()) return void(refuse("memory for its arrays"));
    }
    program_.shared_.push_back(std::move(made));
  }

  void read_section() {
    Section made;
    made.name = text();
    const auto offset = number<int64_t>(), bytes = number<int64_t>();
    made.checksum = number<uint64_t>();
    made.data = good_ ? bytes_at(offset, bytes) : nullptr;
    made.bytes = static_cast<size_t>(bytes);
    if (good_) program_.sections_.push_back(std::move(made));
  }

  void read_entry() {
    Program::Entry made;
    PlanTables tables;
    PlanSymbols symbols;
    made.name = text();
    const uint32_t names = count(18);
    for (uint32_t i = 0; good_ && i < names; ++i) {
      PlanSymbol symbol;
      symbol.name = text();
      symbol.least = number<int64_t>();
      symbol.most = number<int64_t>();
      symbols.symbols.push_back(std::move(symbol));
    }
    for (const Program::Shared& shared : program_.shared_) {
      PlanBuffer& buffer = tables.buffers.emplace_back();
      buffer.role = shared.role;
      buffer.name = shared.name;
      buffer.held = shared.held;
      buffer.bytes = shared.bytes;
    }
    read_tables(tables);
    for (std::vector<std::string>* list : {&made.inputs, &made.outputs}) {
      const uint32_t rows = count(6);
      for (uint32_t i = 0; good_ && i < rows; ++i) {
        list->push_back(text());
        (list == &made.inputs ? tables.inputs : tables.outputs)
            .push_back(static_cast<int>(number<uint32_t>()));
      }
    }
    read_symbols(symbols);
    if (!good_ || !(good_ = check_references(tables, error_)) ||
        !(good_ = check_patches(symbols, tables, error_)))
      return;
    if (symbols.symbols.empty() && !(good_ = check_sizes(tables, error_))) return;
    find_lifetimes(tables);
    Arena* arena = program_.entries_.empty() ? nullptr : program_.entries_[0].plan->arena();
    made.plan = std::make_unique<Plan>(std::move(tables), std::move(symbols), arena);
    program_.entries_.push_back(std::move(made));
  }

  void read_tables(PlanTables& tables) {
    const uint32_t buffers = count(9);
    for (uint32_t i = 0; good_ && i < buffers; ++i) {
      const auto role = static_cast<Role>(number<uint8_t>());
      const auto bytes = number<int64_t>();
      if (role != Role::input && role != Role::output && role != Role::temporary)
        refuse("inputs, outputs and temporaries");
      tables.add_buffer(role, {}, bytes);
    }
    const uint32_t values = count(14);
    for (uint32_t i = 0; good_ && i < values; ++i) read_value(tables);
    const uint32_t calls = count(3);
    for (uint32_t i = 0; good_ && i < calls; ++i) read_call(tables);
  }

  void read_value(PlanTables& tables) {
    PlanValue value;
    const auto buffer = number<uint32_t>();
    value.offset = number<int64_t>();
    const auto dtype = number<uint8_t>(), ndim = number<uint8_t>();
    if (buffer >= tables.buffers.size() || dtype >= dtypes_.size() || ndim > kMaxDims)
      return void(refuse("values of buffers, dtypes and axes that it has"));
    value.buffer = static_cast<int>(buffer);
    value.view.dtype = dtypes_[dtype];
    value.view.ndim = static_cast<int8_t>(ndim);
    for (int64_t* list : {value.view.shape, value.view.strides})
      for (int i = 0; i < ndim; ++i) list[i] = number<int64_t>();
    tables.values.push_back(value);
  }

  void read_call(PlanTables& tables) {
    const auto kernel = number<uint16_t>();
    const auto n = number<uint8_t>();
    if (kernel >= kernels_.size() || n > kMaxArgs)
      return void(refuse("calls of kernels that it names"));
    tables.calls.push_back({kernels_[kernel], tables.args.size(), n});
    for (int i = 0; good_ && i < n; ++i) {
      Arg arg = {};
      const auto kind = number<uint8_t>();
      if (kind > Arg::real) return void(refuse("arguments of a known kind"));
      arg.kind = static_cast<Arg::Kind>(kind);
      if (arg.kind == Arg::array)
        arg.i = number<uint32_t>();
      else if (arg.kind == Arg::integer)
        arg.i = number<int64_t>();
      else if (arg.kind == Arg::real)
        arg.f = number<double>();
      tables.args.push_back(arg);
    }
  }

  void read_symbols(PlanSymbols& symbols) {
    const uint32_t terms = count(8 + kMaxSymbols);
    for (uint32_t i = 0; good_ && i < terms; ++i) {
      PlanTerm term;
      term.factor = number<int64_t>();
      for (uint8_t& power : term.powers) power = number<uint8_t>();
      symbols.terms.push_back(term);
    }
    const uint32_t patches = count(14);
    for (uint32_t i = 0; good_ && i < patches; ++i) {
      PlanPatch patch;
      patch.target = static_cast<PlanPatch::Target>(number<uint8_t>());
      patch.axis = number<uint8_t>();
      patch.index = number<uint32_t>();
      patch.first = number<uint32_t>();
      patch.count = number<uint32_t>();
      symbols.patches.push_back(patch);
    }
  }

  Program& program_;
  const std::byte *file_, *data_ = nullptr, *at_ = nullptr, *end_ = nullptr;
  size_t file_bytes_, data_bytes_ = 0;
  Mapped* mapped_;
  Error& error_;
  bool good_ = true;
  std::vector<DType> dtypes_;
  std::vector<const Kernel*> kernels_;
};

std::unique_ptr<Program> Program::open(const std::byte* data, size_t bytes, void (*release)(void*),
                                       void* owner, Error& error) {
  auto* mapped = new Mapped{{1}, release, owner};
  auto program = std::make_unique<Program>();
  const int64_t none = 0;
  mapped->refs.fetch_add(1);
  program->file_ =
      Array::borrow(DType::u8, &none, 1, const_cast<std::byte*>(data), 0, false, let_go, mapped);
  const bool good = ProgramReader(*program, data, bytes, mapped, error).read();
  if (!good) program.reset();
  let_go(mapped);
  return program;
}

const Section* Program::section(const char* name) const {
  for (const Section& each : sections_)
    if (each.name == name) return &each;
  return nullptr;
}

Program::Entry* Program::entry(const char* name) {
  for (Entry& each : entries_)
    if (each.name == name) return &each;
  return nullptr;
}

bool Program::set(Entry& entry, const std::vector<int64_t>& sizes, Error& error) {
  // States may get another size; until then they are not held to the old one.
  for (size_t b = 0; b < shared_.size(); ++b)
    if (shared_[b].role == Role::state) entry.plan->hold(static_cast<int>(b), Array());
  if (!entry.plan->set(sizes, error)) return false;
  for (size_t b = 0; b < shared_.size(); ++b) {
    Shared& shared = shared_[b];
    if (shared.role != Role::state) continue;
    const int64_t bytes = entry.plan->tables().buffers[b].bytes;
    if (!shared.held.ok() || shared.held.shape[0] != bytes) {
      shared.held = new_array(DType::u8, &bytes, 1, {}, "program", error);
      if (!shared.held.ok()) return false;
      memset(shared.held.data, 0, static_cast<size_t>(bytes));
    }
    entry.plan->hold(static_cast<int>(b), shared.held);
  }
  return true;
}

void Program::clear_states() {
  for (Shared& shared : shared_)
    if (shared.role == Role::state && shared.held.ok())
      memset(shared.held.data, 0, static_cast<size_t>(shared.held.shape[0]));
}

bool Program::verify(Error& error) const {
  const auto differs = [&error](const std::string& name) {
    return error.set(ErrorKind::argument, "program",
                     "expected %.200s of its checksum, got damaged bytes", name.c_str());
  };
  for (const Shared& shared : shared_)
    if (shared.role != Role::state &&
        xxh64(shared.held.data, static_cast<size_t>(shared.held.shape[0])) != shared.checksum)
      return differs(shared.name);
  for (const Section& section : sections_)
    if (xxh64(section.data, section.bytes) != section.checksum) return differs(section.name);
  return true;
}

}  // namespace tl
