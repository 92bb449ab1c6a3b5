#include "parallel.h"

#ifdef __wasm__
// One thread: the caller does all the work.
namespace tl {
int num_threads() { return 1; }
const char* threads_error() { return nullptr; }
void set_num_threads(int) {}
void parallel_range(int64_t n, int64_t, RangeFn fn, void* context) {
  if (n > 0) fn(context, 0, n, 0);
}
}  // namespace tl
#else

#include "watch.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "contention.h"
#include "event_count.h"
#include "steady_threads.h"

namespace tl {
namespace {

constexpr int kMaxThreads = 256;
// How long a worker watches for the next job before it parks: longer than the gap between two ops
// of a decode step (a few microseconds of Python), far shorter than what a user would notice as a
// busy core.
constexpr int kSpins = 20000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// cgroup v2 (cpu.max) or v1 (cfs_quota): whole cores granted to this process, or a large number.
int quota_cores() {
  long long quota = -1, period = 0;
  if (FILE* f = fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = -1;
    fclose(f);
  } else if (FILE* q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (fscanf(q, "%lld", &quota) != 1) quota = -1;
    fclose(q);
    if (FILE* p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (fscanf(p, "%lld", &period) != 1) period = 0;
      fclose(p);
    }
  }
  if (quota <= 0 || period <= 0) return kMaxThreads;
  long long cores = (quota + period - 1) / period;
  return cores < 1 ? 1 : cores > kMaxThreads ? kMaxThreads : static_cast<int>(cores);
}

// TALLOW_NUM_THREADS; 0 where it is not set, -1 where it is no positive number.
int threads_from_environment() {
  const char* text = getenv("TALLOW_NUM_THREADS");
  if (!text || !*text) return 0;
  char* end;
  errno = 0;
  const long n = strtol(text, &end, 10);
  if (*end || end == text || errno || n < 1) return -1;
  return n < kMaxThreads ? static_cast<int>(n) : kMaxThreads;
}

int processors() {
#ifdef __linux__
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
#else
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
#endif
}

int default_threads() {
  if (const int asked = threads_from_environment(); asked > 0) return asked;
  int n = processors(), quota = quota_cores();
  n = n < quota ? n : quota;
  return n < 1 ? 1 : n > kMaxThreads ? kMaxThreads : n;
}

struct Job {
  RangeFn fn;
  void* context;
  int64_t n, grain;
  int shares;
  int64_t call;  // that is watched, 0: none
};

// What a worker does now, and by which clock to tell whether it has a core.
struct alignas(64) Worker {
  pthread_t handle;
  std::atomic<bool> busy{false};
};

// Pieces [next, end) of one worker; on a line of its own.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct Pool {
  // `event` counts jobs; a worker that sees a new event joins it. Low-traffic fields share no
  // line with the hot ones.
  alignas(64) EventCount event;
  Share shares[kMaxThreads];
  // A worker counts itself active, then looks whether the job is still open; the caller closes the
  // job, then waits for the active ones. So a job never waits for a worker that is still waking up.
  alignas(64) std::atomic<int> active{0};
  alignas(64) std::atomic<bool> open{false};
  alignas(64) std::atomic<int> parked{0};
  // Workers from this number on rest until `recalled` counts.
  alignas(64) std::atomic<int> allowed{kMaxThreads};
  EventCount recalled;
  Contention contention;
  Job job{};
  int threads = 0;  // including the caller
  std::atomic<bool> stop{false};
  Worker workers[kMaxThreads];
};

Pool* pool = nullptr;
pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;  // one job at a time; a second caller works alone
std::atomic<int> wanted{0};
thread_local bool inside = false;

// Each worker has a share of the pieces, the same for the same n and grain, so that rows which one
// op wrote are mostly read by the thread whose cache holds them. Who is done helps the next one.
void work(Pool& p, int worker) {
  const Job job = p.job;
  const Watch* watcher = job.call ? watching() : nullptr;
  const int64_t start = watcher ? watcher->now() : 0;
  for (int k = 0; k < job.shares; ++k) {
    Share& share = p.shares[(worker + k) % job.shares];
    for (;;) {
      const int64_t piece = share.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= share.end) break;
      const int64_t begin = piece * job.grain;
      const int64_t end = begin + job.grain < job.n ? begin + job.grain : job.n;
      job.fn(job.context, begin, end, worker);
    }
  }
  if (watcher) watcher->span(job.call, worker, false, start, watcher->now());
}

struct WorkerStart {
  Pool* pool;
  int worker;
};

void* worker_main(void* raw) {
  WorkerStart start = *static_cast<WorkerStart*>(raw);
  delete static_cast<WorkerStart*>(raw);
  Pool& p = *start.pool;
  Worker& self = p.workers[start.worker];
  inside = true;
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = p.event.now();
    for (int spin = 0; now == seen && spin < kSpins; ++spin) {
      relax();
      now = p.event.now();
    }
    while (now == seen) {
      p.parked.fetch_add(1, std::memory_order_seq_cst);
      p.event.wait(seen);
      p.parked.fetch_sub(1, std::memory_order_seq_cst);
      now = p.event.now();
    }
    seen = now;
    if (p.stop.load(std::memory_order_acquire)) return nullptr;
    const uint32_t calls = p.recalled.now();
    if (start.worker >= p.allowed.load(std::memory_order_seq_cst)) {
      p.recalled.wait(calls);
      continue;
    }
    p.active.fetch_add(1, std::memory_order_seq_cst);
    if (p.open.load(std::memory_order_seq_cst)) {
      self.busy.store(true, std::memory_order_relaxed);
      work(p, start.worker);
      self.busy.store(false, std::memory_order_relaxed);
    }
    p.active.fetch_sub(1, std::memory_order_release);
  }
}

void wake_workers(Pool& p) {
  p.event.next();
  if (p.parked.load(std::memory_order_seq_cst) > 0) p.event.wake_all();
}

// So many threads take part from now on.
void allow(Pool& p, int threads) {
  const int before = p.allowed.load(std::memory_order_relaxed);
  if (threads == before) return;
  p.allowed.store(threads, std::memory_order_seq_cst);
  if (threads < before) return;
  p.recalled.next();
  p.recalled.wake_all();
}

// Nanoseconds that a worker has had a core.
int64_t processor_time([[maybe_unused]] pthread_t thread) {
#ifdef __linux__
  clockid_t clock;
  timespec t;
  if (pthread_getcpuclockid(thread, &clock) == 0 && clock_gettime(clock, &t) == 0)
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
#endif
  return 0;
}

// Whether a worker that is busy has no core: looked at twice, `kLook` spins apart.
bool a_worker_waits(Pool& p) {
  constexpr int kLook = 2000;
  int64_t used[kMaxThreads];
  const int64_t begin = Contention::now();
  for (int i = 1; i < p.threads; ++i)
    used[i] = p.workers[i].busy.load(std::memory_order_relaxed)
                  ? processor_time(p.workers[i].handle)
                  : -1;
  for (int spin = 0; spin < kLook && p.active.load(std::memory_order_relaxed) != 0; ++spin) relax();
  const int64_t half = (Contention::now() - begin) / 2;
  for (int i = 1; i < p.threads; ++i) {
    if (used[i] >= 0 && p.workers[i].busy.load(std::memory_order_relaxed) &&
        processor_time(p.workers[i].handle) - used[i] < half)
      return true;
  }
  return false;
}

// Until no worker is in the job any more. Most are done in less time than it takes to look at them.
void wait_for_workers(Pool& p) {
  constexpr int kSoon = 1000;
  int64_t since = 0;
  for (int spin = 0; p.active.load(std::memory_order_seq_cst) != 0; ++spin) {
    if (spin < kSpins)
      relax();
    else
      sched_yield();
    if (spin == kSoon && a_worker_waits(p)) since = Contention::now();
  }
  if (since) p.contention.stalled(Contention::now() - since);
}

void shut_down(Pool* p) {
  if (!p) return;
  p->stop.store(true, std::memory_order_release);
  allow(*p, kMaxThreads);
  wake_workers(*p);
  for (int i = 1; i < p->threads; ++i) pthread_join(p->workers[i].handle, nullptr);
  delete p;
}

// The child of a fork has no workers: forget the pool (its memory is the parent's business) and
// start anew when needed.
void after_fork_in_child() {
  pool = nullptr;
  pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  gate = fresh;
  inside = false;
}

// Called with the gate held. Null when one thread is enough or none can be had.
Pool* get_pool() {
  int threads = num_threads();
  if (pool && pool->threads == threads) return pool;
  shut_down(pool);
  pool = nullptr;
  if (threads < 2) return nullptr;
  static bool hooked = false;
  if (!hooked) {
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
    hooked = true;
  }
  Pool* fresh = new Pool;
  fresh->threads = 1;
  for (int i = 1; i < threads; ++i) {
    if (pthread_create(&fresh->workers[i].handle, nullptr, worker_main,
                       new WorkerStart{fresh, i}) != 0)
      break;
    fresh->threads = i + 1;
  }
  if (fresh->threads != threads) wanted.store(fresh->threads);  // the system refused more
  return pool = fresh;
}

}  // namespace

const char* threads_error() {
  return threads_from_environment() < 0 ? "TALLOW_NUM_THREADS: expected a positive number, got "
                                        : nullptr;
}

int num_threads() {
  if (const int n = steady_threads) return n < 1 ? 1 : n < kMaxThreads ? n : kMaxThreads;
  int n = wanted.load(std::memory_order_relaxed);
  if (n < 1) {
    n = default_threads();
    wanted.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_num_threads(int n) {
  wanted.store(n < 1 ? default_threads() : n < kMaxThreads ? n : kMaxThreads);
}

void parallel_range(int64_t n, int64_t grain, RangeFn fn, void* context) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  if (n <= grain || inside || num_threads() < 2 || pthread_mutex_trylock(&gate) != 0) {
    fn(context, 0, n, 0);
    return;
  }
  Pool* p = get_pool();
  if (!p) {
    pthread_mutex_unlock(&gate);
    fn(context, 0, n, 0);
    return;
  }
  const int threads = p->contention.allowed(p->threads);
  allow(*p, threads);
  if (threads == 1) {
    pthread_mutex_unlock(&gate);
    fn(context, 0, n, 0);
    return;
  }
  const int64_t pieces = (n + grain - 1) / grain;
  const int shares = pieces < threads ? static_cast<int>(pieces) : threads;
  for (int i = 0; i < shares; ++i) {
    p->shares[i].next.store(pieces * i / shares, std::memory_order_relaxed);
    p->shares[i].end = pieces * (i + 1) / shares;
  }
  const Watch* watcher = watching();
  p->job = {fn, context, n, grain, shares, watcher ? watcher->current() : 0};
  p->open.store(true, std::memory_order_seq_cst);
  wake_workers(*p);
  inside = true;
  work(*p, 0);
  inside = false;
  const int64_t done = watcher ? watcher->now() : 0;
  p->open.store(false, std::memory_order_seq_cst);
  wait_for_workers(*p);
  if (watcher) watcher->span(p->job.call, 0, true, done, watcher->now());
  pthread_mutex_unlock(&gate);
}

}  // namespace tl
#endif
