#include "trace.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "call.h"
#include "watch.h"

namespace tl {
namespace {

constexpr size_t kMostWords = size_t{1} << 26;
enum Record : int64_t { kCall, kWork, kWait };

std::mutex guard;  // of all below
bool keeps = false;
Trace kept;
int lines = -1;  // where they go; -1: nowhere

std::atomic<int64_t> threads{0}, calls{0};
thread_local int64_t thread = 0, in_call = 0;
thread_local const char* copies_for = nullptr;
thread_local int64_t scratch = 0;  // bytes that the kernel took for itself
// Whether the last two pieces of memory were: an array takes one for its elements, one for what
// owns them.
thread_local bool from_cache[2];

int64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec;
}

int64_t this_thread() {
  if (!thread) thread = ++threads;
  return thread;
}

int64_t current() { return in_call; }

// Room for so many words more, guard held; null: none.
int64_t* room(size_t words) {
  const size_t before = kept.words.size();
  if (!keeps) return nullptr;
  if (before + words > kMostWords) return ++kept.left_out, nullptr;
  kept.words.resize(before + words);
  return kept.words.data() + before;
}

void span(int64_t call, int worker, bool waits, int64_t begin, int64_t end) {
  constexpr int64_t kWords = 5;
  std::lock_guard lock(guard);
  int64_t* at = call ? room(kWords) : nullptr;
  if (!at) return;
  at[0] = (waits ? kWait : kWork) + 256 * kWords;
  at[1] = call;
  at[2] = worker;
  at[3] = begin;
  at[4] = end;
}

int64_t place_of(const Kernel& kernel) {
  int i = 0;
  while (i < kept.count && kept.kernels[i] != &kernel) ++i;
  if (i == Trace::kMostKernels) return i - 1;  // more than there are
  if (i == kept.count) kept.kernels[kept.count++] = &kernel;
  return i;
}

// Whether it is one i64 that the call only read: a position, by which a formula goes.
bool is_position(const Kernel& kernel, int i, const View& x) {
  const bool read = (kernel.read >> i & 1) && !(kernel.written >> i & 1);
  return read && x.dtype == DType::i64 && x.size() == 1 && &kernel >= kernels().begin() &&
         &kernel < kernels().end();
}

void keep(const Kernel& kernel, const Arg* args, int n, int64_t number, int64_t begin,
          int64_t end) {
  int64_t words = 6;
  for (int i = 0; i < n; ++i)
    words += args[i].kind == Arg::array
                 ? 1 + 2 * args[i].a->ndim + is_position(kernel, i, *args[i].a)
             : args[i].kind ? 2
                            : 1;
  std::lock_guard lock(guard);
  int64_t* at = room(words);
  if (!at) return;
  *at++ = kCall + 256 * words;
  *at++ = number;
  *at++ = this_thread();
  *at++ = begin;
  *at++ = end;
  *at++ = place_of(kernel);
  for (int i = 0; i < n; ++i) {
    const Arg& arg = args[i];
    if (arg.kind != Arg::array) {
      *at++ = arg.kind;
      if (arg.kind != Arg::none) *at++ = arg.i;  // a real's bits, too
      continue;
    }
    const View& x = *arg.a;
    const bool position = is_position(kernel, i, x);
    *at++ =
        arg.kind + 128 * position + 256 * static_cast<int64_t>(x.dtype) + int64_t{65536} * x.ndim;
    if (position) *at++ = *x.ptr<int64_t>();
    for (const int64_t* list : {x.shape, x.strides})
      for (int k = 0; k < x.ndim; ++k) *at++ = list[k];
  }
}

// --- lines ---------------------------------------------------------------------------------------

// A line, written whole by one system call, so that those of several threads do not mix.
class Line {
 public:
  explicit Line(const char* what) {
    static const int64_t start = now();
    const double seconds = static_cast<double>(now() - start) * 1e-9;
    add("tallow %11.6f  thread %lld  %-5s  ", seconds, static_cast<long long>(this_thread()), what);
  }
  ~Line() {
    text_[size_++] = '\n';
    for (size_t done = 0; done < size_;) {
      const ssize_t more = write(lines, text_ + done, size_ - done);
      if (more <= 0) return;  // nobody to tell
      done += static_cast<size_t>(more);
    }
  }
  __attribute__((format(printf, 2, 3))) void add(const char* format, ...) {
    va_list args;
    va_start(args, format);
    const size_t room = sizeof text_ - 1 - size_;
    const int more = vsnprintf(text_ + size_, room, format, args);
    va_end(args);
    size_ += more < 0 ? 0 : static_cast<size_t>(more) < room ? static_cast<size_t>(more) : room - 1;
  }
  void add(const View& x) {
    add("%s%s", row(x.dtype).name, ShapeText(x).text);
    if (x.contiguous()) return;
    add(" strides ");
    for (int i = 0; i < x.ndim; ++i)
      add("%c%lld", i ? ',' : '(', static_cast<long long>(x.strides[i]));
    add(")");
  }

 private:
  char text_[2048];
  size_t size_ = 0;
};

// What a copy is for: the same elements in another dtype, or in another order.
const char* kind_of(const Kernel& kernel, const Arg* args, int n) {
  const bool copies = n >= 2 && args[0].kind == Arg::array && args[1].kind == Arg::array &&
                      (strcmp(kernel.name, "copy") == 0 || strcmp(kernel.name, "quantize") == 0 ||
                       strcmp(kernel.name, "dequantize") == 0);
  return !copies ? "call" : args[0].a->dtype == args[1].a->dtype ? "copy" : "cast";
}

void tell(const Kernel& kernel, const Arg* args, int n, const char* op, const char* failed,
          int64_t nanoseconds) {
  Line line(kind_of(kernel, args, n));
  line.add("%s", op ? op : "plan");
  if (!op || strcmp(op, kernel.name) != 0) line.add(" > %s", kernel.name);
  const char* at = kernel.signature;
  for (int i = 0; i < n; ++i) {
    const size_t name = strcspn(at, ":"), whole = strcspn(at, " ");
    if (args[i].kind != Arg::none) {
      line.add("  %.*s ", static_cast<int>(name), at);
      if (args[i].kind == Arg::array)
        line.add(*args[i].a);
      else if (args[i].kind == Arg::integer)
        line.add("%lld", static_cast<long long>(args[i].i));
      else
        line.add("%g", args[i].f);
    }
    at += whole + (at[whole] == ' ');
  }
  if (failed) line.add("  refused: %s", failed);
  if (scratch) line.add("  scratch %lld bytes", static_cast<long long>(scratch));
  if (!failed) line.add("  %.1f us", static_cast<double>(nanoseconds) * 1e-3);
}

void memory(size_t bytes, bool cached) {
  from_cache[0] = from_cache[1];
  from_cache[1] = cached;
  if (in_call) scratch += static_cast<int64_t>(bytes);
}

void array(const View& made, Device device) {
  if (lines < 0 || device.type != Device::cpu) return;
  Line line("alloc");
  line.add(made);
  const int64_t bytes = made.size() / row(made.dtype).block * row(made.dtype).bytes;
  line.add("  %lld bytes from the %s", static_cast<long long>(bytes),
           from_cache[0] ? "cache" : "system");
}

const char* call(const Kernel& kernel, const Arg* args, int n, const char* op) {
  const int64_t number = ++calls, outer = in_call, begin = now();
  in_call = number;
  scratch = 0;
  const char* failed = run_kernel(kernel, args, n);
  in_call = outer;
  const int64_t end = now();
  keep(kernel, args, n, number, begin, end);
  if (lines >= 0) tell(kernel, args, n, copies_for ? copies_for : op, failed, end - begin);
  copies_for = nullptr;
  return failed;
}

void op(const char* kind, const char* name, const View* const* arrays, int n) {
  if (lines < 0) return;
  Line line(kind);
  line.add("%s", name);
  for (int i = 0; i < n; ++i) {
    line.add("  ");
    line.add(*arrays[i]);
  }
}

void copies(const char* op) { copies_for = op; }

constexpr Watch kWatch = {call, now, current, span, memory, array, op, copies};

}  // namespace

const char* start_trace_lines() {
  const char* asked = getenv("TALLOW_TRACE");
  if (!asked || !*asked || strcmp(asked, "0") == 0) return nullptr;
  const int file =
      strcmp(asked, "1") == 0 ? 2 : open(asked, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return "TALLOW_TRACE: expected 1 or a file that can be written, got ";
  lines = file;
  watch.store(&kWatch, std::memory_order_relaxed);
  return nullptr;
}

bool start_trace() {
  std::lock_guard lock(guard);
  if (keeps) return false;
  keeps = true;
  watch.store(&kWatch, std::memory_order_relaxed);
  return true;
}

Trace stop_trace() {
  std::lock_guard lock(guard);
  keeps = false;
  if (lines < 0) watch.store(nullptr, std::memory_order_relaxed);
  Trace found = std::move(kept);
  kept.words = {};
  kept.count = 0;
  kept.left_out = 0;
  return found;
}

}  // namespace tl
