// Choosing a token from logits (penalties, top-k, top-p, min-p, temperature), and topk.
//
// Candidates are 64-bit keys: the logit's bits in an order-preserving form above, the complement of
// the index below. Larger key = larger logit, then lower index: one total order, so the choice is
// the same however it is computed.
#include <algorithm>

#include "rank.h"

namespace tl::TL_ISA {
namespace {

using Key = uint64_t;

// A comparison type of this namespace also keeps the standard algorithms' instances out of other
// ISA builds' reach.
struct Descending {
  TL_INLINE bool operator()(Key a, Key b) const { return a > b; }
};

TL_INLINE float value_of(uint32_t rank) {
  const uint32_t bits = rank & 0x80000000 ? rank & 0x7fffffff : ~rank;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
TL_INLINE Key key_of(float x, int64_t index) {
  return static_cast<Key>(rank_of(x)) << 32 | (0xffffffff - static_cast<uint32_t>(index));
}
TL_INLINE float logit_of(Key key) { return value_of(static_cast<uint32_t>(key >> 32)); }
TL_INLINE int64_t index_of(Key key) { return 0xffffffff - static_cast<uint32_t>(key); }

// The k largest keys of n, unordered, to keys[0 … k). `get(i, &key)` tells whether element i takes
// part. `keys` holds 2 * k + kBlock elements: when they are full the lower half is dropped, and
// what is not above the rest's least is skipped.
constexpr int64_t kBlock = 64;
template <class Skip, class Get>
TL_INLINE int64_t select_top(Key* keys, int64_t k, int64_t n, const Skip& skip, const Get& get) {
  int64_t count = 0;
  Key least = 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t end = n - i < kBlock ? n : i + kBlock;
    if (end - i == kBlock && least && skip(i, least)) continue;
    for (int64_t j = i; j < end; ++j) {
      Key key;
      if (get(j, &key) && key > least) keys[count++] = key;
    }
    if (count >= 2 * k) {
      std::nth_element(keys, keys + (k - 1), keys + count, Descending());
      count = k;
      least = keys[k - 1];
    }
  }
  if (count > k) {
    std::nth_element(keys, keys + (k - 1), keys + count, Descending());
    count = k;
  }
  return count;
}

// Candidates of which only as long a prefix as somebody looks at is sorted.
struct Candidates {
  Key* keys;
  int64_t count = 0, sorted = 0;
  TL_INLINE Key at(int64_t i) {
    while (i >= sorted) grow();
    return keys[i];
  }
  void grow() {
    int64_t next = sorted ? sorted * 8 : 128;
    if (next > count) next = count;
    if (next < count) std::nth_element(keys + sorted, keys + next, keys + count, Descending());
    std::sort(keys + sorted, keys + next, Descending());
    sorted = next;
  }
};

// Weight of a candidate relative to the best one; the best are +inf at once when any is.
TL_INLINE double weight_of(float logit, float best, double temperature) {
  if (logit == best) return 1;
  return __builtin_exp((static_cast<double>(logit) - static_cast<double>(best)) / temperature);
}

// Repetition, frequency and presence penalties, as llama.cpp applies them. Negative ids in the
// history are padding.
const char* penalise(float* logits, int64_t vocab, const View& history, double repetition,
                     double frequency, double presence) {
  const int64_t n = history.size();
  const float r = static_cast<float>(repetition), f = static_cast<float>(frequency),
              p = static_cast<float>(presence);
  if (n == 0 || (r == 1 && f == 0 && p == 0)) return nullptr;
  Scratch memory(n * sizeof(Key));
  Key* ids = memory.as<Key>();
  if (!ids) return "sample: out of memory";
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t id = history.ptr<int64_t>()[i * history.strides[0]];
    if (id >= vocab) {
      return fail("sample: expected ids of the history below %lld, got %lld",
                  static_cast<long long>(vocab), static_cast<long long>(id));
    }
    if (id >= 0) ids[count++] = static_cast<Key>(id);
  }
  std::sort(ids, ids + count, Descending());
  for (int64_t i = 0; i < count;) {
    int64_t end = i + 1;
    while (end < count && ids[end] == ids[i]) ++end;
    float& logit = logits[ids[i]];
    logit = logit > 0 ? logit / r : logit * r;
    // In double: products of floats are exact there, so that fused and separate multiply-adds
    // agree.
    const double off =
        static_cast<double>(static_cast<float>(end - i)) * f + static_cast<double>(p);
    logit = static_cast<float>(static_cast<double>(logit) - off);
    i = end;
  }
  return nullptr;
}

TL_INLINE bool block_below(const float* x, float limit) {
  vf best = load(x);
  for (int j = kLanes; j < kBlock; j += kLanes) best = max(load(x + j), best);
  return max_lane(best) <= limit;
}

// Where the largest logit is; it is left in `best`.
int64_t first_of_best(const float* logits, int64_t vocab, float& best) {
  int64_t first = 0, i = 0;
  best = -__builtin_inff();
  for (; i + kBlock <= vocab; i += kBlock) {
    if (block_below(logits + i, best)) continue;
    for (int64_t j = i; j < i + kBlock; ++j) {
      if (logits[j] > best) best = logits[j], first = j;
    }
  }
  for (; i < vocab; ++i) {
    if (logits[i] > best) best = logits[i], first = i;
  }
  return first;
}

void keep_top_k(Candidates& c, const float* logits, int64_t vocab, int64_t top_k) {
  auto get = [&](int64_t i, Key* key) {
    *key = key_of(logits[i], i);
    return logits[i] > -__builtin_inff();
  };
  if (top_k < vocab) {
    c.count = select_top(
        c.keys, top_k, vocab,
        [&](int64_t i, Key least) { return block_below(logits + i, logit_of(least)); }, get);
    return;
  }
  for (int64_t i = 0; i < vocab; ++i) {
    if (get(i, c.keys + c.count)) ++c.count;
  }
}

void keep_top_p(Candidates& c, float best, double top_p) {
  double total = 0, sum = 0;
  for (int64_t i = 0; i < c.count; ++i) total += weight_of(logit_of(c.keys[i]), best, 1);
  const double limit = top_p * total;
  int64_t keep = 0;
  while (keep < c.count) {
    sum += weight_of(logit_of(c.at(keep++)), best, 1);
    if (sum >= limit) break;
  }
  c.count = keep;
}

void keep_min_p(Candidates& c, float best, double min_p) {
  const double limit = static_cast<double>(best) + __builtin_log(min_p);
  int64_t keep = 0;
  while (keep < c.count && logit_of(c.at(keep)) >= limit) ++keep;
  c.count = keep > 1 ? keep : 1;
}

// The candidate at which the sum of weights passes the random number's share of it.
int64_t draw(Candidates& c, float best, double temperature, double uniform) {
  if (c.sorted > c.count) c.sorted = c.count;
  double total = 0, sum = 0;
  c.at(0);
  for (int64_t i = 0; i < c.count; ++i) total += weight_of(logit_of(c.keys[i]), best, temperature);
  const double target = uniform * total;
  int64_t chosen = 0;
  for (int64_t i = 0; i < c.count; ++i) {
    const Key key = c.at(i);
    const double weight = weight_of(logit_of(key), best, temperature);
    if (weight == 0) break;
    chosen = index_of(key);
    sum += weight;
    if (sum > target) break;
  }
  return chosen;
}

const char* sample(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &history = *args[2].a;
  const double temperature = args[3].f, top_p = args[5].f, min_p = args[6].f;
  int64_t top_k = args[4].i;
  if (out.dtype != DType::i64 || out.size() != 1) return "sample: expected out () or (1) in i64";
  if (x.dtype != DType::f32 || x.ndim != 1) return "sample: expected logits (vocab) in f32";
  if (history.dtype != DType::i64 || history.ndim != 1)
    return "sample: expected history (n) in i64";
  const int64_t vocab = x.shape[0];
  if (vocab < 1 || vocab > 0x7fffffff) return "sample: expected between 1 and 2^31 - 1 logits";
  if (top_k <= 0 || top_k > vocab || temperature <= 0) top_k = vocab;

  Scratch floats((vocab + kBlock) * sizeof(float));
  float* logits = floats.as<float>();
  if (!logits) return "sample: out of memory";
  for (int64_t i = 0; i < vocab; ++i) {
    const float v = x.ptr<float>()[i * x.strides[0]];
    logits[i] = v == v ? v : -__builtin_inff();  // a NaN among numbers is never chosen
  }
  if (const char* error = penalise(logits, vocab, history, args[7].f, args[8].f, args[9].f))
    return error;
  float best;
  *out.ptr<int64_t>() = first_of_best(logits, vocab, best);
  if (best == -__builtin_inff()) return "sample: every logit is NaN or -inf";
  if (temperature <= 0) return nullptr;

  Scratch memory((top_k < vocab ? 2 * top_k + kBlock : vocab) * sizeof(Key));
  Candidates c{memory.as<Key>()};
  if (!c.keys) return "sample: out of memory";
  keep_top_k(c, logits, vocab, top_k);
  if (top_p < 1) keep_top_p(c, best, top_p);
  if (min_p > 0) keep_min_p(c, best, min_p);
  *out.ptr<int64_t>() = draw(c, best, temperature, args[10].f);
  return nullptr;
}

// --- topk
// ----------------------------------------------------------------------------------------------------------------

template <class T>
void rank_row(const std::byte* row, int64_t xs, int64_t n, uint64_t flip, Ranked* list) {
  const T* x = reinterpret_cast<const T*>(row);
  for (int64_t i = 0; i < n; ++i) list[i] = {rank_of(x[i * xs]) ^ flip, i};
}
// The k best of n elements: the smallest pairs (rank, index).
void smallest(Ranked* list, int64_t n, int64_t k) {
  if (k < n) std::nth_element(list, list + k, list + n, Ascending());
  std::sort(list, list + k, Ascending());
}

// Rows of f32 with n below 2^32 go through keys, which compare as integers.
TL_INLINE void topk_float_row(const float* x, int64_t xs, int64_t n, int64_t k, bool largest,
                              Key* keys) {
  auto get = [&](int64_t i, Key* key) {
    const uint32_t rank = rank_of(x[i * xs]);
    *key = static_cast<Key>(largest ? rank : ~rank) << 32 | (0xffffffff - static_cast<uint32_t>(i));
    return true;
  };
  auto skip = [&](int64_t i, Key least) {
    if (xs != 1 || !largest) return false;
    const float* p = x + i;
    vi nan{};
    for (int j = 0; j < kBlock; j += kLanes) nan |= load(p + j) != load(p + j);
    for (int j = 0; j < kLanes; ++j) {
      if (nan[j]) return false;
    }
    return static_cast<uint32_t>(least >> 32) != 0xffffffff ? block_below(p, logit_of(least))
                                                            : true;
  };
  std::sort(keys, keys + select_top(keys, k, n, skip, get), Descending());
}

const char* topk(const Arg* args, int) {
  const CanonicalBools canonical(*args[2].a);
  if (!canonical.ok) return "topk: out of memory";
  const View &values = *args[0].a, &indices = *args[1].a, &x = canonical.view;
  const int64_t k = args[3].i;
  const bool largest = args[4].i != 0;
  if (x.ndim < 1 || !same_shape(values, indices) || values.ndim != x.ndim)
    return "topk: expected outputs (…, k) for x (…, n)";
  const int last = x.ndim - 1;
  const int64_t n = x.shape[last];
  if (k < 0 || k > n) {
    return fail("topk: expected k in [0, %lld], got %lld", static_cast<long long>(n),
                static_cast<long long>(k));
  }
  bool fits = values.shape[last] == k && indices.dtype == DType::i64 && values.dtype == x.dtype;
  StridedIterator<3> rows;
  for (int i = 0; i < last; ++i) {
    fits = fits && values.shape[i] == x.shape[i];
    rows.axis(x.shape[i], {values.strides[i], indices.strides[i], x.strides[i]});
  }
  if (!fits) return "topk: expected outputs (…, k), values like x and indices in i64";
  if (rows.count == 0 || k == 0) return nullptr;
  const int64_t vs = values.strides[last], is = indices.strides[last], xs = x.strides[last];
  void (*rank)(const std::byte*, int64_t, int64_t, uint64_t, Ranked*) = nullptr;
  const char* none = for_any(x.dtype, "topk", [&]<class T>() -> const char* {
    rank = rank_row<T>;
    return nullptr;
  });
  if (none) return none;
  const bool keyed = x.dtype == DType::f32 && n < 0xffffffff;
  const int64_t bytes = bytes_of(x.dtype);
  bool ok = true;
  parallel_for(rows.count, 2000 / n + 1, [&](int64_t begin, int64_t end, int) {
    Scratch memory(keyed ? (2 * k + kBlock + n % 2) * sizeof(Key) : n * sizeof(Ranked));
    Key* keys = memory.as<Key>();
    Ranked* list = memory.as<Ranked>();
    if (!keys) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    StridedIterator<3> it = rows;
    it.seek(begin);
    for (int64_t r = begin; r < end; ++r, it.next()) {
      const std::byte* from = x.data + it.offset[2] * bytes;
      if (keyed) {
        topk_float_row(reinterpret_cast<const float*>(from), xs, n, k, largest, keys);
      } else {
        rank(from, xs, n, largest ? ~uint64_t{0} : 0, list);
        smallest(list, n, k);
      }
      int64_t* index = indices.ptr<int64_t>() + it.offset[1];
      std::byte* value = values.data + it.offset[0] * bytes;
      for (int64_t i = 0; i < k; ++i, index += is, value += vs * bytes) {
        *index = keyed ? index_of(keys[i]) : list[i].index;
        copy_element_bytes(bytes, from, xs, *index, value);
      }
    }
  });
  return ok ? nullptr : "topk: out of memory";
}

}  // namespace

void register_sample(KernelTable& t);
void register_sample(KernelTable& t) {
  t.add(
      "sample",
      "out:out logits:in history:in temperature:f top_k:i top_p:f min_p:f repetition:f frequency:f "
      "presence:f random:f",
      sample);
  t.add("topk", "out_values:out out_indices:out x:in k:i largest:i", topk);
}

}  // namespace tl::TL_ISA
