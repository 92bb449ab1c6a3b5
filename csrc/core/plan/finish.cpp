// The end of a capture: what was read too early, what inputs are, and which constants are copied.
#include "../strides.h"
#include "capture.h"

namespace tl {
namespace {

// Constants of fewer bytes are copied into the plan, and all that others may write unseen; larger
// ones stay where they are, and a run refuses them when they were changed.
constexpr int64_t kCopyBelow = 65536;

}  // namespace

// Memory that turned out to be a state late: whether a value had been read that follows from it.
bool Capture::check_reads(Error& error) {
  std::vector<bool> depends(tables_.buffers.size());
  for (size_t b = 0; b < depends.size(); ++b)
    depends[b] = tables_.buffers[b].role == Role::state || tables_.buffers[b].role == Role::input;
  size_t next = 0;
  auto check = [&](size_t before) {
    for (; next < reads_.size() && reads_[next].before <= before; ++next)
      if (depends[reads_[next].buffer])
        return error.set(ErrorKind::capture, reads_[next].where,
                         "a value that depends on memory which the function also writes cannot be "
                         "read while a plan is captured: it would be fixed in the plan");
    return true;
  };
  for (size_t at = 0; at < tables_.calls.size(); ++at) {
    if (!check(at)) return false;
    const PlanCall& call = tables_.calls[at];
    const Arg* args = tables_.args.data() + call.first;
    bool any = false;
    for (int i = 0; i < call.n; ++i)
      any |= args[i].kind == Arg::array && tables_.is_read(call, i) &&
             depends[tables_.values[args[i].i].buffer];
    for (int i = 0; any && i < call.n; ++i)
      if (args[i].kind == Arg::array && tables_.is_written(call, i))
        depends[tables_.values[args[i].i].buffer] = true;
  }
  return check(tables_.calls.size());
}

// Whether what is read of an input is what its example shows of its memory.
bool Capture::check_inputs(Error& error) {
  for (int input : tables_.inputs) {
    const PlanValue& whole = tables_.values[input];
    int64_t low, high, first, last;
    find_reach(whole.view.dtype, whole.view.shape, whole.view.strides, whole.view.ndim, low, high);
    low *= bytes_of(whole.view.dtype);
    high = (high / block_of(whole.view.dtype) + 1) * bytes_of(whole.view.dtype);
    if (whole.view.size() == 0) high = low = 0;
    for (const PlanValue& value : tables_.values) {
      if (value.buffer != whole.buffer || value.view.size() == 0) continue;
      const View& v = value.view;
      find_reach(v.dtype, v.shape, v.strides, v.ndim, first, last);
      first = value.offset + first * bytes_of(v.dtype);
      last = value.offset + (last / block_of(v.dtype) + 1) * bytes_of(v.dtype);
      if (first < low || last > high)
        return error.set(ErrorKind::capture, "capture",
                         "expected calls that read of an input what the example shows, got one "
                         "that reads beyond it (use .clone() first)");
    }
    tables_.buffers[whole.buffer].bytes = high;
  }
  return true;
}

bool Capture::fix_constants(Error& error) {
  for (PlanBuffer& buffer : tables_.buffers) {
    if (buffer.role != Role::constant) continue;
    const Storage& storage = *(buffer.source.ok() ? buffer.source : buffer.held).storage();
    const bool foreign = storage.release && storage.writable;  // changes there are not counted
    const bool copies = !buffer.source.ok() && buffer.device.type == Device::cpu &&
                        storage.writable && (buffer.bytes < kCopyBelow || foreign) &&
                        storage.made >> 32 != serial_;
    buffer.version = storage.version.load();
    if (!copies) continue;
    buffer.source = buffer.held;
    buffer.held = copy_of(bytes_of_storage(buffer.source));
    if (!buffer.held.ok())
      return error.set(ErrorKind::memory, "capture", "no room for a copy of a constant");
  }
  return true;
}

bool Capture::finish(const std::vector<const Array*>& outputs, PlanTables& tables, Error& error) {
  stop();
  for (const Array* x : outputs) {
    const int b = reading(*x);
    tables_.outputs.push_back(static_cast<int>(value(b, *x)));
    PlanBuffer& buffer = tables_.buffers[b];
    if (buffer.role != Role::temporary && buffer.role != Role::output) continue;
    buffer.role = Role::output;
    buffer.held = *x;
  }
  if (late_state_ && !check_reads(error)) return false;
  if (!check_inputs(error)) return false;
  if (!fix_constants(error)) return false;
  find_lifetimes(tables_);
  tables = std::move(tables_);
  return true;
}

}  // namespace tl
