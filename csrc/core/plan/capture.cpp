#include "capture.h"

#include <cstring>

#include "../call.h"
#include "../strides.h"

namespace tl {
namespace {

thread_local Capture* current = nullptr;
std::atomic<uint64_t> serials{0};

bool covers(const Array& x) {
  return x.byte_offset() == 0 && x.contiguous() &&
         contiguous_bytes(x.dtype, x.shape, x.ndim) ==
             static_cast<int64_t>(held_bytes(*x.storage()));
}

bool same_view(const View& a, const View& b) {
  return a.dtype == b.dtype && same_shape(a, b) &&
         memcmp(a.strides, b.strides, sizeof(int64_t) * a.ndim) == 0;
}

}  // namespace

Array bytes_of_storage(const Array& x) {
  View whole;
  whole.dtype = DType::u8;
  whole.ndim = 1;
  whole.shape[0] = static_cast<int64_t>(held_bytes(*x.storage()));
  whole.strides[0] = 1;
  Array synced = x;
  synced.sync();
  whole.data = synced.data - x.byte_offset();
  return synced.with(whole);
}

Array copy_of(const Array& bytes) {
  Array copy = Array::empty(DType::u8, bytes.shape, 1, bytes.device());
  if (copy.ok()) memcpy(copy.data, bytes.data, static_cast<size_t>(bytes.shape[0]));
  return copy;
}

Capture* current_capture() { return current; }

Capture::Capture(bool saves) : serial_(++serials), saves_(saves) {}
Capture::~Capture() { stop(); }

bool Capture::start() {
  if (current) return false;
  current = this;
  set_capture(serial_);
  return true;
}

void Capture::stop() {
  if (current != this) return;
  current = nullptr;
  set_capture(0);
}

Capture::Source* Capture::find(const Array& x) {
  const Storage* storage = x.storage();
  if (storage->made >> 32 == serial_) {
    const auto found = made_.find(storage->made);
    return found == made_.end() ? nullptr : &found->second;
  }
  const auto found = given_.find(storage);
  return found == given_.end() ? nullptr : &found->second;
}

Capture::Source& Capture::known(const Array& x) {
  const Storage* storage = x.storage();
  return storage->made >> 32 == serial_ ? made_[storage->made] : given_[storage];
}

int Capture::external(const Array& x, Role role) {
  Source& source = known(x);
  if (source.buffer >= 0) return source.buffer;
  const int b =
      tables_.add_buffer(role, x.device(), static_cast<int64_t>(held_bytes(*x.storage())));
  tables_.buffers[b].held = x;
  const uint8_t taint = role == Role::weight                         ? on_weight
                        : role == Role::input || role == Role::state ? on_input
                                                                     : 0;
  taint_.push_back(taint);
  return source.buffer = b;
}

bool Capture::add_input(const Array& x, Error& error) {
  if (Source* source = find(x)) {
    const PlanBuffer& buffer = tables_.buffers[source->buffer];
    const bool twice = buffer.role == Role::input && same_view(buffer.held, x) &&
                       buffer.held.byte_offset() == x.byte_offset();
    if (!twice)
      return error.set(ErrorKind::capture, "capture",
                       "expected examples on memory of their own, got one that shares it with %s "
                       "(use .clone() first)",
                       buffer.role == Role::input ? "another" : kRoleNames[int(buffer.role)]);
  }
  tables_.inputs.push_back(static_cast<int>(value(external(x, Role::input), x)));
  return true;
}

void Capture::add_weight(const Array& x, const char* name) {
  PlanBuffer& buffer = tables_.buffers[external(x, Role::weight)];
  if (buffer.role == Role::weight && buffer.name.empty()) buffer.name = name;
}

void Capture::add_state(const Array& x) { external(x, Role::state); }

int64_t Capture::value(int buffer, const Array& x) {
  PlanBuffer& of = tables_.buffers[buffer];
  const int64_t offset = x.byte_offset() - (of.role == Role::input ? of.held.byte_offset() : 0);
  uint64_t hash = 1469598103934665603u;
  auto mix = [&hash](int64_t part) {
    hash = (hash ^ static_cast<uint64_t>(part)) * 1099511628211u;
    hash ^= hash >> 29;
  };
  mix(buffer), mix(offset), mix(static_cast<int>(x.dtype)), mix(x.ndim);
  for (int i = 0; i < x.ndim; ++i) mix(x.shape[i]), mix(x.strides[i]);
  for (;; ++hash) {
    const auto [at, fresh] =
        same_values_.try_emplace(hash, static_cast<int>(tables_.values.size()));
    if (fresh) break;
    const PlanValue& other = tables_.values[at->second];
    if (other.buffer == buffer && other.offset == offset && same_view(other.view, x))
      return at->second;
  }
  PlanValue& made = tables_.values.emplace_back();
  made.buffer = buffer;
  made.offset = offset;
  made.view = x;
  made.view.data = nullptr;
  return static_cast<int64_t>(tables_.values.size()) - 1;
}

// --- calls ---------------------------------------------------------------------------------------

// A constant with what the storage holds now; the one made last if that still says the same.
int Capture::snapshot(const Array& x, Source& source) {
  const Array bytes = bytes_of_storage(x);
  if (source.buffer >= 0) {
    const PlanBuffer& last = tables_.buffers[source.buffer];
    if (last.role == Role::constant && last.held.storage() != x.storage() &&
        last.bytes == bytes.shape[0] &&
        memcmp(last.held.storage()->data, bytes.data, static_cast<size_t>(last.bytes)) == 0)
      return source.buffer;
  }
  const int b = tables_.add_buffer(Role::constant, x.device(), bytes.shape[0]);
  // Bytes of a file never change; what else is not the host's can only be held.
  const bool stays = !x.storage()->writable || x.device().type != Device::cpu;
  tables_.buffers[b].held = stays ? bytes : copy_of(bytes);
  taint_.push_back(0);
  return source.buffer = b;
}

int Capture::reading(const Array& x) {
  const Storage* storage = x.storage();
  Source& source = known(x);
  // Whether Python may write it between two calls.
  const bool shared = source.lent || (storage->release && storage->writable);
  if (storage->made >> 32 == serial_)
    return source.buffer < 0 || shared ? snapshot(x, source) : source.buffer;
  const bool told = source.buffer >= 0 && tables_.buffers[source.buffer].role != Role::constant;
  if (told || !shared) return external(x, Role::constant);
  const int b = snapshot(x, source);
  tables_.buffers[b].source = x;
  return b;
}

// A temporary that begins as the constant does.
int Capture::temporary_from(int constant) {
  const PlanBuffer& from = tables_.buffers[constant];
  const int b = tables_.add_buffer(Role::temporary, from.device, from.bytes);
  taint_.push_back(0);
  const Array whole = bytes_of_storage(tables_.buffers[constant].held);
  const Kernel* copy = kernels().find("copy");
  tables_.calls.push_back({copy, tables_.args.size(), 2});
  for (int buffer : {b, constant}) {
    Arg arg = {};
    arg.kind = Arg::array;
    arg.i = value(buffer, whole);
    tables_.args.push_back(arg);
  }
  return b;
}

bool Capture::save(const Array& x, Error& error) {
  if (x.device().type != Device::cpu) return true;
  Saved saved{x, copy_of(bytes_of_storage(x))};
  if (!saved.bytes.ok())
    return error.set(ErrorKind::memory, "capture", "no room for a copy of what a call writes");
  saved_.push_back(std::move(saved));
  return true;
}

void Capture::restore() {
  for (const Saved& saved : saved_) {
    const Array now = bytes_of_storage(saved.x);
    memcpy(now.data, saved.bytes.data, static_cast<size_t>(now.shape[0]));
  }
}

// Memory from before the capture is a state as soon as a call writes it.
int Capture::writing_outside(const Array& x, Error& error) {
  const int b = external(x, Role::state);
  PlanBuffer& buffer = tables_.buffers[b];
  if (buffer.source.ok()) {
    error.set(ErrorKind::capture, op ? op : "capture",
              "memory that Python may write, too, cannot be read and then written while a plan is "
              "captured: give it as a state");
    return -1;
  }
  if (saves_ && !buffer.written && !save(x, error)) return -1;
  buffer.written = true;
  if (buffer.role == Role::constant || buffer.role == Role::weight) {
    buffer.role = Role::state;
    late_state_ = true;
  }
  taint_[b] |= on_input;
  return b;
}

int Capture::writing(const Array& x, bool whole, uint8_t taint, const char* where, Error& error) {
  const Storage* storage = x.storage();
  if (storage->made >> 32 != serial_) return writing_outside(x, error);
  Source& source = known(x);
  if (source.lent && (taint & on_input)) {
    error.set(ErrorKind::capture, op ? op : where,
              "memory that was lent to the buffer protocol or DLPack cannot be written with values "
              "that depend on an input while a plan is captured: they would be fixed in the plan");
    return -1;
  }
  const bool held = (storage->guards & kHostWritten) || storage->release;
  if (source.buffer < 0 && !held) {
    source.buffer =
        tables_.add_buffer(Role::temporary, x.device(), static_cast<int64_t>(held_bytes(*storage)));
    taint_.push_back(0);
  } else if (source.buffer < 0 || source.lent) {
    snapshot(x, source);
  }
  if (tables_.buffers[source.buffer].role == Role::constant) {
    if (whole && covers(x)) {
      source.buffer = tables_.add_buffer(Role::temporary, x.device(),
                                         static_cast<int64_t>(held_bytes(*storage)));
      taint_.push_back(0);
    } else {
      source.buffer = temporary_from(source.buffer);
    }
  }
  taint_[source.buffer] |= taint;
  return source.buffer;
}

bool Capture::before(const Kernel& kernel, const Arg* args, int n, Error& error) {
  Arg list[kMaxArgs];
  uint8_t taint = 0;
  auto array = [args](int i) -> const Array& { return *static_cast<const Array*>(args[i].a); };
  for (int i = 0; i < n; ++i) {
    list[i] = args[i];
    if (args[i].kind != Arg::array || !(kernel.read >> i & 1)) continue;
    const int b = reading(array(i));
    taint |= taint_[b];
    if (!(kernel.written >> i & 1)) list[i].i = value(b, array(i));
  }
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array || !(kernel.written >> i & 1)) continue;
    const int b = writing(array(i), !(kernel.read >> i & 1), taint, kernel.name, error);
    if (b < 0) return false;
    list[i].i = value(b, array(i));
  }
  last_on_input_ = taint & on_input;
  tables_.calls.push_back({&kernel, tables_.args.size(), n});
  tables_.args.insert(tables_.args.end(), list, list + n);
  return true;
}

void Capture::undo() {
  tables_.args.resize(tables_.calls.back().first);
  tables_.calls.pop_back();
}

// --- values read by the host
// ----------------------------------------------------------------------

uint8_t Capture::taint_of(const Array& x) {
  const Source* source = find(x);
  return source && source->buffer >= 0 ? taint_[source->buffer] : 0;
}

bool Capture::may_read(const Array& x, const char* where, Error& error) {
  const uint8_t taint = taint_of(x);
  if (taint & on_input)
    return error.set(ErrorKind::capture, op ? op : where,
                     "a value that depends on an input cannot be read (by %s) while a plan is "
                     "captured: it would be fixed in the plan",
                     where);
  if (taint & on_weight) read_weights = true;
  if (x.storage()->made >> 32 != serial_) external(x, Role::constant);
  if (const Source* source = find(x); source && source->buffer >= 0)
    reads_.push_back({source->buffer, tables_.calls.size(), op ? op : where});
  return true;
}

bool Capture::lend(const Array& x, const char* where, Error& error) {
  if (!may_read(x, where, error)) return false;
  Source& source = known(x);
  source.lent = true;
  if (x.storage()->made >> 32 == serial_ || source.buffer < 0) return true;
  // What calls have read of it stays as it was.
  PlanBuffer& buffer = tables_.buffers[source.buffer];
  if (buffer.role != Role::constant || buffer.source.ok() || x.device().type != Device::cpu)
    return true;
  buffer.source = buffer.held;
  buffer.held = copy_of(bytes_of_storage(buffer.source));
  return buffer.held.ok() || error.set(ErrorKind::memory, where, "no room for a copy");
}

}  // namespace tl
