#include "array.h"

#include <cstring>
#include <new>
#include <utility>

#include "alloc.h"
#include "device.h"
#include "watch.h"

namespace tl {
namespace {

// Kernels may read up to one vector past a row's end; the slack keeps that inside the block.
constexpr size_t kSlack = 32;

// Where the elements of arrays without memory would begin.
alignas(64) std::byte nowhere[64];

void retain(Storage* s) {
  if (s) s->refs.fetch_add(1, std::memory_order_relaxed);
}

// Gives a storage's memory back, except the storage itself.
void free_bytes(std::byte* data, size_t bytes, std::byte* copy, void (*release)(void*),
                void* owner) {
  if (copy) pool_free(copy, bytes + kSlack);
  if (release)
    release(owner);
  else
    pool_free(data, bytes);
}

std::byte* allocate(size_t bytes, Device device) {
  if (device.type == Device::cpu) return static_cast<std::byte*>(pool_alloc(bytes));
  const Backend* backend = backend_of(device);
  return backend ? backend->allocate(bytes) : nowhere;
}

void release(std::byte* data, size_t bytes, Device device) {
  if (device.type == Device::cpu) return pool_free(data, bytes);
  if (const Backend* backend = backend_of(device)) backend->release(data, bytes);
}

// The owner of bytes that moved, and what the storage had before.
struct Moved {
  void (*release)(void*);
  void* owner;
  std::byte* data;
  size_t bytes;
  std::byte* copy;
  void (*release_before)(void*);
  void* owner_before;
};

void release_moved(void* owner) {
  auto* moved = static_cast<Moved*>(owner);
  free_bytes(moved->data, moved->bytes, moved->copy, moved->release_before, moved->owner_before);
  moved->release(moved->owner);
  pool_free(moved, sizeof(Moved));
}

void drop(Storage* s) {
  if (!s || s->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (s->device.type == Device::cpu)
    free_bytes(s->data, s->bytes, s->copy, s->release, s->owner);
  else
    release(s->data, s->bytes, s->device);
  s->~Storage();
  pool_free(s, sizeof(Storage));
}

void retain(VersionCounter* c) {
  if (c) c->refs.fetch_add(1, std::memory_order_relaxed);
}

void drop(VersionCounter* c) {
  if (!c || c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  c->~VersionCounter();
  pool_free(c, sizeof(VersionCounter));
}

// How many threads are in inference mode: while it is none, the thread's own flag, which takes
// longer to read, is not looked at.
std::atomic<int> inference_threads{0};
thread_local bool inference = false;

// This thread's, and how many storages were made in it.
thread_local uint64_t capture = 0, capture_count = 0;

Storage* new_storage() {
  void* memory = pool_alloc(sizeof(Storage));
  if (!memory) return nullptr;
  auto* storage = new (memory) Storage;
  if (in_inference()) storage->guards = kInference;
  if (captures_running() && capture) storage->made = capture << 32 | capture_count++;
  return storage;
}

bool fill_shape(View& view, DType dtype, const int64_t* shape, int ndim) {
  if (ndim < 0 || ndim > kMaxDims) return false;
  view.dtype = dtype;
  view.ndim = static_cast<int8_t>(ndim);
  for (int i = 0; i < ndim; ++i) view.shape[i] = shape[i];
  set_contiguous_strides(view);
  return true;
}

}  // namespace

bool in_inference() { return inference_threads.load(std::memory_order_relaxed) != 0 && inference; }

void set_inference(bool on) {
  if (on == inference) return;
  inference = on;
  inference_threads.fetch_add(on ? 1 : -1, std::memory_order_relaxed);
}

void set_capture(uint64_t serial) {
  capturing_threads.fetch_add((serial != 0) - (capture != 0), std::memory_order_relaxed);
  capture = serial;
  capture_count = 0;
}

void filled_by_host(const Array& x) {
  if (captures_running()) x.storage()->guards |= kHostWritten;
}

int64_t contiguous_bytes(DType dtype, const int64_t* shape, int ndim) {
  int64_t n = 1;
  bool zero = false;
  for (int i = 0; i < ndim; ++i) {
    if (shape[i] < 0) return -1;
    zero |= shape[i] == 0;
    if (shape[i] > 0 && __builtin_mul_overflow(n, shape[i], &n)) return -1;
  }
  int64_t block = block_of(dtype);
  if (!zero && block > 1 && (ndim == 0 || shape[ndim - 1] % block != 0)) return -1;
  const int64_t blocks = block == 1 ? n : n / block + (n % block != 0);
  if (__builtin_mul_overflow(blocks, int64_t{bytes_of(dtype)}, &n)) return -1;
  return zero ? 0 : n;
}

void set_contiguous_strides(View& view) {
  int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    view.strides[i] = stride;
    stride *= view.shape[i] > 1 ? view.shape[i] : 1;
  }
}

Array::Array(const Array& other)
    : View(other),
      storage_(other.storage_),
      byte_offset_(other.byte_offset_),
      counter_(other.counter_) {
  retain(storage_);
  retain(counter_);
}
Array::Array(Array&& other) noexcept
    : View(other),
      storage_(std::exchange(other.storage_, nullptr)),
      byte_offset_(other.byte_offset_),
      counter_(std::exchange(other.counter_, nullptr)) {}
Array& Array::operator=(Array other) noexcept {
  static_cast<View&>(*this) = other;
  std::swap(storage_, other.storage_);
  std::swap(counter_, other.counter_);
  byte_offset_ = other.byte_offset_;
  return *this;
}
Array::~Array() {
  drop(storage_);
  drop(counter_);
}

Array Array::empty(DType dtype, const int64_t* shape, int ndim, Device device) {
  Array out;
  int64_t bytes = ndim <= kMaxDims ? contiguous_bytes(dtype, shape, ndim) : -1;
  if (bytes < 0 || !fill_shape(out, dtype, shape, ndim)) return out;
  size_t size = static_cast<size_t>(bytes) + kSlack;
  std::byte* data = allocate(size, device);
  Storage* storage = data ? new_storage() : nullptr;
  if (!storage) {
    if (data) release(data, size, device);
    return out;
  }
  storage->device = device;
  storage->data = data;
  storage->bytes = size;
  out.data = data;
  out.storage_ = storage;
  if (const Watch* w = watching(); __builtin_expect(w != nullptr, 0)) w->array(out, device);
  return out;
}

Array Array::borrow(DType dtype, const int64_t* shape, int ndim, std::byte* data, size_t bytes,
                    bool writable, void (*release)(void*), void* owner) {
  Array out;
  Storage* storage = fill_shape(out, dtype, shape, ndim) ? new_storage() : nullptr;
  if (!storage) {
    release(owner);
    return out;
  }
  storage->data = data;
  storage->bytes = bytes;
  storage->release = release;
  storage->owner = owner;
  storage->writable = writable;
  out.data = data;
  out.storage_ = storage;
  return out;
}

Array Array::with(const View& view) const {
  Array out;
  static_cast<View&>(out) = view;
  out.storage_ = storage_;
  out.byte_offset_ = byte_offset_ + (view.data - data);
  out.counter_ = counter_;
  retain(storage_);
  retain(counter_);
  return out;
}

Array Array::with_own_version() const {
  void* memory = pool_alloc(sizeof(VersionCounter));
  if (!memory) return {};
  Array out = *this;
  drop(out.counter_);
  out.counter_ = new (memory) VersionCounter;
  return out;
}

uint32_t Array::version() const {
  if (counter_) return counter_->version.load(std::memory_order_relaxed);
  return storage_->version.load(std::memory_order_relaxed) -
         storage_->apart.load(std::memory_order_relaxed);
}

void Array::count_write() const {
  storage_->version.fetch_add(1, std::memory_order_relaxed);
  if (!counter_) return;
  storage_->apart.fetch_add(1, std::memory_order_relaxed);
  counter_->version.fetch_add(1, std::memory_order_relaxed);
}

size_t held_bytes(const Storage& storage) { return storage.bytes - (storage.release ? 0 : kSlack); }

bool move_to(Storage* s, std::byte* data, void (*release)(void*), void* owner) {
  auto* moved = static_cast<Moved*>(pool_alloc(sizeof(Moved)));
  if (!moved) {
    release(owner);
    return false;
  }
  *moved = {release, owner, s->data, s->bytes, s->copy, s->release, s->owner};
  size_t held = held_bytes(*s);
  memcpy(data, s->data, held);
  s->data = data;
  s->bytes = held;
  s->copy = nullptr;
  s->release = release_moved;
  s->owner = moved;
  s->writable = true;
  return true;
}

bool detach(Storage* storage) {
  if (storage->writable) return true;
  auto* copy = static_cast<std::byte*>(pool_alloc(storage->bytes + kSlack));
  if (!copy) return false;
  memcpy(copy, storage->data, storage->bytes);
  storage->data = storage->copy = copy;
  storage->writable = true;
  return true;
}

int misalignment(Array& x) {
  x.sync();  // another view may have had the storage copied
  auto off = [&x] {
    return static_cast<int>(reinterpret_cast<uintptr_t>(x.data) % alignment_of(x.dtype));
  };
  if (off() == 0 || x.size() == 0) return 0;
  if (!x.storage()->writable && detach(x.storage())) x.sync();
  return off();
}

}  // namespace tl
