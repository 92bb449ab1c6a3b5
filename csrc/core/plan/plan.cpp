#include "plan.h"

#include <chrono>
#include <cstring>

#include "../call.h"
#include "../watch.h"

namespace tl {

Plan::Plan(PlanTables tables, Arena* arena) : Plan(std::move(tables), {}, arena) {}

Plan::Plan(PlanTables tables, PlanSymbols symbols, Arena* arena)
    : tables_(std::move(tables)), symbols_(std::move(symbols)), arena_(arena) {
  if (symbols_.symbols.empty()) plan_arenas();
}

bool Plan::set(const std::vector<int64_t>& values, Error& error) {
  std::lock_guard lock(arena_->running);
  if (values.size() != symbols_.symbols.size())
    return error.set(ErrorKind::argument, "plan", "expected %zu sizes, got %zu",
                     symbols_.symbols.size(), values.size());
  if (sizes_ == values && !args_.empty()) return true;
  sizes_.clear();
  args_.clear();
  if (!set_symbols(symbols_, values.data(), tables_, error)) return false;
  sizes_ = values;
  plan_arenas();
  return true;
}

// What follows from the sizes: arguments, and where temporaries lie.
void Plan::plan_arenas() {
  devices_.clear();
  arena_bytes_.clear();
  bases_.clear();
  args_ = tables_.args;
  for (Arg& arg : args_)
    if (arg.kind == Arg::array) arg.a = &tables_.values[arg.i].view;
  bases_.resize(tables_.buffers.size());
  for (const PlanBuffer& buffer : tables_.buffers) {
    bool known = buffer.role != Role::temporary;
    for (Device device : devices_) known |= device == buffer.device;
    if (known) continue;
    devices_.push_back(buffer.device);
    arena_bytes_.push_back(plan_memory(tables_, buffer.device));
  }
}

int64_t Plan::arena_bytes() const {
  int64_t bytes = 0;
  for (int64_t each : arena_bytes_) bytes += each;
  return bytes;
}

bool Plan::stale() const {
  for (const PlanBuffer& buffer : tables_.buffers) {
    if (buffer.role != Role::constant) continue;
    const Storage& storage = *(buffer.source.ok() ? buffer.source : buffer.held).storage();
    if (storage.version.load(std::memory_order_relaxed) != buffer.version) return true;
    // What others write is not counted.
    if (buffer.source.ok() && storage.release &&
        memcmp(storage.data, buffer.held.data, static_cast<size_t>(buffer.bytes)) != 0)
      return true;
  }
  return false;
}

// Memory of the temporaries, large enough; the same for all plans on this arena.
bool Plan::prepare(Error& error) {
  for (size_t i = 0; i < devices_.size(); ++i) {
    Array* found = nullptr;
    for (Array& memory : arena_->memory)
      if (memory.device() == devices_[i]) found = &memory;
    if (found && found->shape[0] >= arena_bytes_[i]) continue;
    Array made = new_array(DType::u8, &arena_bytes_[i], 1, devices_[i], "plan", error);
    if (!made.ok()) return false;
    if (found)
      *found = std::move(made);
    else
      arena_->memory.push_back(std::move(made));
  }
  return true;
}

// Points the values to where the buffers are now.
bool Plan::bind(Error& error) {
  if (args_.empty() && !tables_.calls.empty())
    return error.set(ErrorKind::argument, "plan", "expected its sizes to be set first");
  if (!prepare(error)) return false;
  bool moved = arena_->forks != forks_;  // or half done, when this process was forked
  forks_ = arena_->forks;
  for (size_t b = 0; b < bases_.size(); ++b) {
    PlanBuffer& buffer = tables_.buffers[b];
    std::byte* base = nullptr;
    if (buffer.role == Role::temporary) {
      if (buffer.offset < 0) continue;
      for (Array& memory : arena_->memory)
        if (memory.device() == buffer.device) base = memory.data + buffer.offset;
    } else {
      if (!buffer.held.ok())
        return error.set(ErrorKind::argument, "plan", "expected memory for %s %zu, got none",
                         kRoleNames[static_cast<int>(buffer.role)], b);
      Storage* storage = buffer.held.storage();
      if (buffer.role == Role::constant && !buffer.source.ok() &&
          storage->version.load(std::memory_order_relaxed) != buffer.version)
        return error.set(ErrorKind::argument, "plan",
                         "a tensor of %lld bytes that was captured as a constant has been written "
                         "since: capture anew, or give it as a weight or a state",
                         static_cast<long long>(buffer.bytes));
      if (buffer.written) {
        if (!allow_write(buffer.held, "plan", error, buffer.role != Role::input)) return false;
        if (!storage->writable && !detach(storage))
          return error.set(ErrorKind::memory, "plan", "no room for a writable copy");
        buffer.held.count_write();
      }
      base = buffer.base();
    }
    moved |= base != bases_[b];
    bases_[b] = base;
  }
  if (!moved) return true;
  for (PlanValue& value : tables_.values)
    value.view.data = bases_[value.buffer] ? bases_[value.buffer] + value.offset : nullptr;
  return true;
}

// Where the weights of the first calls lie, and their versions; whether all writes are counted.
bool Plan::find_weights(std::vector<std::pair<std::byte*, uint32_t>>& seen) const {
  bool unseen = false;
  for (const PlanBuffer& buffer : tables_.buffers) {
    if (buffer.role != Role::weight || buffer.first < 0 ||
        buffer.first >= static_cast<int>(tables_.once))
      continue;
    const Storage& storage = *buffer.held.storage();
    // What a write copied before it, or had to be copied to an even address, is no longer lent.
    const bool borrowed = storage.release && storage.writable && !storage.copy;
    unseen |= (storage.guards & kLent) || borrowed;
    seen.emplace_back(buffer.base(), storage.version.load(std::memory_order_relaxed));
  }
  return !unseen;
}

// Whether a weight that the first calls read has been written, lies elsewhere, or may be written
// unseen.
bool Plan::weights_changed() {
  std::vector<std::pair<std::byte*, uint32_t>> seen;
  const bool counted = find_weights(seen);
  if (counted && seen == seen_) return false;
  seen_ = std::move(seen);
  return true;
}

void Plan::leave_out(std::vector<bool> calls) {
  seen_.clear();
  find_weights(seen_);
  left_out_ = std::move(calls);
}

bool Plan::run_calls(Error& error, double* seconds) {
  size_t at = 0;
  if (tables_.once > 0) {
    const bool changed = weights_changed();
    if (changed) left_out_.clear();
    if (kept_ && !changed) at = tables_.once;
    kept_ = at > 0;  // until they have run
  }
  for (; at < tables_.calls.size(); ++at) {
    kept_ |= at == tables_.once;
    if (at < left_out_.size() && left_out_[at]) continue;
    const PlanCall& call = tables_.calls[at];
    const auto begin =
        seconds ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    if (const char* text = invoke(*call.kernel, args_.data() + call.first, call.n, nullptr))
      return error.set(
          strncmp(text, "expected an index in", 20) == 0 ? ErrorKind::index : ErrorKind::argument,
          call.kernel->name, "%s", text);
    if (seconds)
      seconds[at] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  kept_ = true;
  return true;
}

bool Plan::run(Error& error) {
  std::lock_guard lock(arena_->running);
  return bind(error) && run_calls(error, nullptr);
}

bool Plan::profile(std::vector<double>& seconds, Error& error) {
  std::lock_guard lock(arena_->running);
  seconds.assign(tables_.calls.size(), 0);
  return bind(error) && run_calls(error, seconds.data());
}

static bool same_steps(const View& a, const View& b) {
  for (int i = 0; i < a.ndim; ++i)
    if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return a.size() == 0;
  return true;
}

bool Plan::take_inputs(const std::vector<const Array*>& inputs, Error& error) {
  if (inputs.size() != tables_.inputs.size())
    return error.set(ErrorKind::shape, "plan", "expected %zu inputs, got %zu",
                     tables_.inputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PlanValue& value = tables_.values[tables_.inputs[i]];
    PlanBuffer& buffer = tables_.buffers[value.buffer];
    const Array& x = *inputs[i];
    if (x.dtype != value.view.dtype)
      return error.set(ErrorKind::dtype, "plan", "expected an input of %s, got %s",
                       row(value.view.dtype).name, row(x.dtype).name);
    if (!same_shape(x, value.view))
      return error.set(ErrorKind::shape, "plan", "expected an input of shape %s, got %s",
                       ShapeText(value.view).text, ShapeText(x).text);
    if (!(x.device() == buffer.device))
      return refuse_mixed("plan", buffer.device, x.device(), error);
    if (!same_steps(x, value.view))
      return error.set(ErrorKind::shape, "plan", "expected an input of the example's strides");
    if (static_cast<int64_t>(held_bytes(*x.storage())) - x.byte_offset() < buffer.bytes)
      return error.set(ErrorKind::shape, "plan", "expected an input with %lld bytes behind it",
                       static_cast<long long>(buffer.bytes));
    buffer.held = x;
  }
  return true;
}

// Memory of their own for what the caller gets.
bool Plan::new_outputs(Error& error) {
  for (PlanBuffer& buffer : tables_.buffers) {
    if (buffer.role != Role::output) continue;
    buffer.held = new_array(DType::u8, &buffer.bytes, 1, buffer.device, "plan", error);
    if (!buffer.held.ok()) return false;
  }
  return true;
}

bool Plan::call(const std::vector<const Array*>& inputs, std::vector<Array>& results,
                Error& error) {
  std::lock_guard lock(arena_->running);
  const bool done =
      take_inputs(inputs, error) && new_outputs(error) && bind(error) && run_calls(error, nullptr);
  if (done) {
    for (int output : tables_.outputs) {
      const PlanValue& value = tables_.values[output];
      const PlanBuffer& buffer = tables_.buffers[value.buffer];
      Array start = buffer.held;
      start.sync();
      Array made = start.with(value.view);
      if (buffer.role == Role::constant) made = contiguous_copy(made, "plan", error);
      if (!made.ok()) return false;
      results.push_back(std::move(made));
    }
  }
  release();
  return done;
}

void Plan::release() {
  for (PlanBuffer& buffer : tables_.buffers)
    if (buffer.role == Role::input || buffer.role == Role::output) buffer.held = Array();
}

}  // namespace tl
