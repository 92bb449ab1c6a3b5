// The thread pool by itself: every piece is done once whatever the threads, also by workers that
// had parked, for pools of changing size, for callers at the same time and inside each other, and
// while other threads keep all cores busy.
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "core/contention.h"
#include "core/parallel.h"
#include "core/steady_threads.h"
#include "core/watch.h"

namespace {

int failures = 0, checks = 0;
void check(bool ok, const char* what) {
  ++checks;
  if (ok) return;
  ++failures;
  printf("pool: %s\n", what);
}

// Whether each of n elements is visited once, by workers that exist.
bool once(int64_t n, int64_t grain) {
  auto* seen = static_cast<std::atomic<int>*>(calloc(n, sizeof(std::atomic<int>)));
  std::atomic<bool> good{true};
  tl::parallel_for(n, grain, [&](int64_t begin, int64_t end, int worker) {
    if (worker < 0 || worker >= 256 || begin >= end || end > n) good = false;
    for (int64_t i = begin; i < end; ++i) seen[i].fetch_add(1, std::memory_order_relaxed);
  });
  for (int64_t i = 0; i < n; ++i) good = good && seen[i] == 1;
  free(seen);
  return good;
}

void* caller(void*) {
  bool good = true;
  for (int i = 0; i < 200; ++i) good = good && once(1000 + i, 7);
  return good ? nullptr : &failures;
}

void parked_workers() {
  const timespec pause = {0, 5000000};  // far longer than a worker watches for work
  for (int i = 0; i < 20; ++i) {
    nanosleep(&pause, nullptr);
    check(once(4096, 16), "pieces after a pause");
  }
}

void callers_at_once() {
  pthread_t threads[4];
  for (pthread_t& thread : threads) pthread_create(&thread, nullptr, caller, nullptr);
  for (pthread_t& thread : threads) {
    void* bad = nullptr;
    pthread_join(thread, &bad);
    check(!bad, "pieces of four callers");
  }
}

std::atomic<bool> enough{false};
void* burn(void*) {
  while (!enough) {
  }
  return nullptr;
}

// Workers come to rest and are called back all the time.
void among_busy_threads() {
  pthread_t threads[6];
  for (pthread_t& thread : threads) pthread_create(&thread, nullptr, burn, nullptr);
  for (int i = 0; i < 3000; ++i) check(once(3000, 10), "pieces among busy threads");
  tl::set_num_threads(3);
  for (int i = 0; i < 300; ++i) check(once(3000, 10), "pieces of a new pool among busy threads");
  enough = true;
  for (pthread_t& thread : threads) pthread_join(thread, nullptr);
}

// Who watches is told of the work of each thread that takes part, and of the caller's wait for
// them.
std::atomic<int> works{0}, own_works{0}, waits{0};
std::atomic<bool> told_right{true};

void told(int64_t call, int worker, bool waited, int64_t begin, int64_t end) {
  const bool good = call == 7 && worker >= 0 && worker < 4 && begin <= end;
  if (!good || (waited && worker != 0)) told_right = false;
  ++(waited ? waits : works);
  if (!waited && worker == 0) ++own_works;
}

void watched() {
  static constexpr tl::Watch kWatch = {
      nullptr, tl::Contention::now, []() -> int64_t { return 7; }, told, nullptr, nullptr, nullptr,
      nullptr};
  tl::set_num_threads(2);
  once(1000, 3);
  tl::set_num_threads(4);  // a new pool, of which all take part at first
  tl::watch = &kWatch;
  for (int i = 0; i < 400; ++i) check(once(3000, 10), "pieces that somebody watches");
  tl::watch = nullptr;
  check(told_right, "what was told");
  check(waits > 0 && waits == own_works, "a wait for each job");
  check(works <= 4 * waits, "a share for each thread at most");
  const int before = works;
  check(once(3000, 10) && works == before, "nothing told to nobody");
}

// A kernel takes memory for each thread, then more threads are set: no more than that come.
void* more(void*) {
  tl::set_num_threads(8);
  return nullptr;
}
void steady() {
  tl::set_num_threads(2);
  {
    const tl::SteadyThreads kernel;
    pthread_t other;
    pthread_create(&other, nullptr, more, nullptr);
    pthread_join(other, nullptr);
    const tl::SteadyThreads inner;
    check(tl::num_threads() == 2, "the number of threads during a call");
    std::atomic<bool> good{true};
    for (int i = 0; i < 200; ++i)
      tl::parallel_for(1000, 3, [&](int64_t, int64_t, int worker) { good = good && worker < 2; });
    check(good, "no more threads than at the beginning of a call");
  }
  check(tl::num_threads() == 8, "the number of threads after a call");
}

#ifdef __linux__
int after_jobs(tl::Contention& contention) {
  int allowed = 0;
  for (int i = 0; i < 40; ++i) allowed = contention.allowed(2);
  return allowed;
}

void pauses() {
  const timespec window = {0, 10'000'000}, pause = {0, 40'000'000};
  tl::Contention contention;
  check(contention.allowed(2) == 2, "all threads at first");
  for (int after = 1; after <= 3; ++after) {  // once is nothing
    contention.stalled(1'000'000'000);
    nanosleep(&window, nullptr);
    check(after_jobs(contention) == (after < 3 ? 2 : 1), "one thread less after three long waits");
  }
  check(contention.allowed(3) == 3, "all threads of another pool");
  contention.allowed(2);
  contention.stalled(1'000'000'000);
  nanosleep(&window, nullptr);
  check(after_jobs(contention) == 1, "one thread less again");
  nanosleep(&pause, nullptr);
  check(after_jobs(contention) == 2, "all threads after a pause");
}
#endif

}  // namespace

int main() {
  for (int threads : {1, 2, 4, 3, 8}) {
    tl::set_num_threads(threads);
    check(tl::num_threads() == threads, "the number of threads");
    for (int64_t n : {1, 2, 17, 1000, 65536}) check(once(n, 3), "pieces");
    for (int i = 0; i < 300; ++i) check(once(64, 1), "many small jobs");
  }
  parked_workers();
  callers_at_once();
  std::atomic<int> inner{0};
  tl::parallel_for(8, 1, [&](int64_t, int64_t, int) {
    tl::parallel_for(5, 1, [&](int64_t b, int64_t e, int w) { inner += w == 0 ? int(e - b) : 99; });
  });
  check(inner == 40, "a job inside a job");
  among_busy_threads();
  watched();
  steady();
#ifdef __linux__
  pauses();
#endif
  printf("pool: %d checks, %d failures\n", checks, failures);
  return failures != 0;
}
