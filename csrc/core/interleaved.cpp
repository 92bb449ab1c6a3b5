#include "interleaved.h"

#include <pthread.h>
#include <sched.h>

#include <mutex>
#include <new>

namespace tl {

namespace {

// Keeps the weight and its second form for as long as the storage that borrows from it lives.
struct Interleaved {
  Array weight, eights;
};

// Found by the address of the weight. Readers take no lock; what a slot points to goes only when
// nobody reads.
struct Slot {
  std::atomic<const std::byte*> address{nullptr};
  std::atomic<const Interleaved*> found{nullptr};
};
constexpr uintptr_t kGone = 1;  // an address that was taken out

struct Table {
  int64_t mask, used = 0;  // used: with those that are gone
  Slot* slots;
};

std::atomic<Table*> current{nullptr};  // those before are kept: somebody may still look into one
std::atomic<int64_t> readers{0};
std::mutex writing;

size_t first_slot(const Table& t, const std::byte* address) {
  return (reinterpret_cast<uintptr_t>(address) * 0x9e3779b97f4a7c15ull >> 20) & t.mask;
}

void put(Table& t, const std::byte* address, const Interleaved* found) {
  size_t i = first_slot(t, address);
  while (t.slots[i].address.load(std::memory_order_relaxed)) i = (i + 1) & t.mask;
  t.slots[i].found.store(found, std::memory_order_relaxed);
  t.slots[i].address.store(address, std::memory_order_release);
  ++t.used;
}

Slot* slot_of(const Table* t, const std::byte* address) {
  if (!t) return nullptr;
  for (size_t i = first_slot(*t, address);; i = (i + 1) & t->mask) {
    const std::byte* found = t->slots[i].address.load(std::memory_order_acquire);
    if (found == address) return &t->slots[i];
    if (!found) return nullptr;
  }
}

// A table with room for one more, null when memory is out.
Table* with_room() {
  Table* old = current.load(std::memory_order_relaxed);
  if (old && 2 * (old->used + 1) <= old->mask) return old;
  const int64_t size = old ? 2 * (old->mask + 1) : 1024;
  Table* made = new (std::nothrow) Table{size - 1, 0, new (std::nothrow) Slot[size]};
  if (!made || !made->slots) {
    delete made;
    return nullptr;
  }
  for (int64_t i = 0; old && i <= old->mask; ++i) {
    const std::byte* address = old->slots[i].address.load(std::memory_order_relaxed);
    if (address && reinterpret_cast<uintptr_t>(address) != kGone)
      put(*made, address, old->slots[i].found.load(std::memory_order_relaxed));
  }
  current.store(made, std::memory_order_release);
  return made;
}

void drop(void* owner) {
  auto* pair = static_cast<Interleaved*>(owner);
  {
    const std::lock_guard hold(writing);
    Slot* slot = slot_of(current.load(std::memory_order_relaxed), pair->weight.data);
    // Another array may have given the same weight another second form since.
    if (slot && slot->found.load(std::memory_order_relaxed) == pair)
      slot->address.store(reinterpret_cast<const std::byte*>(kGone), std::memory_order_seq_cst);
  }
  // A weight at this address may be in use by another storage on the same memory.
  while (readers.load(std::memory_order_seq_cst) != 0) sched_yield();
  delete pair;
}

// The child of a fork has none of the threads that were reading or writing.
void before_fork() { writing.lock(); }
void in_parent() { writing.unlock(); }
void in_child() {
  readers.store(0, std::memory_order_relaxed);
  writing.unlock();
}

}  // namespace

InterleavedReader::InterleavedReader() : any_(current.load(std::memory_order_relaxed)) {
  if (any_) readers.fetch_add(1, std::memory_order_seq_cst);
}
InterleavedReader::~InterleavedReader() {
  if (any_) readers.fetch_sub(1, std::memory_order_release);
}

const uint8_t* InterleavedReader::operator()(const View& weight) const {
  if (!any_ || weight.ndim != 2) return nullptr;
  const Table* table = current.load(std::memory_order_acquire);
  const Slot* slot = slot_of(table, weight.data);
  if (!slot) return nullptr;
  const Interleaved& pair = *slot->found.load(std::memory_order_acquire);
  const View& whole = pair.weight;
  const bool fits = weight.dtype == whole.dtype && weight.shape[1] == whole.shape[1] &&
                    weight.shape[0] <= whole.shape[0] && weight.strides[0] == whole.strides[0] &&
                    weight.strides[1] == 1;
  return fits ? pair.eights.ptr<const uint8_t>() : nullptr;
}

Array with_interleaved(const Array& weight, const Array& eights) {
  auto* pair = new (std::nothrow) Interleaved{weight, eights};
  if (!pair) return {};
  const int64_t bytes = contiguous_bytes(weight.dtype, weight.shape, weight.ndim);
  const Array out =
      Array::borrow(weight.dtype, weight.shape, weight.ndim, weight.data, bytes, false, drop, pair);
  if (!out.ok()) return {};
  std::unique_lock lock(writing);
  [[maybe_unused]] static const int once = pthread_atfork(before_fork, in_parent, in_child);
  Table* table = with_room();
  if (!table) {  // what was made goes when nobody holds the lock
    lock.unlock();
    return {};
  }
  Slot* slot = slot_of(table, weight.data);
  if (slot)
    slot->found.store(pair, std::memory_order_release);
  else
    put(*table, weight.data, pair);
  return out;
}

}  // namespace tl
