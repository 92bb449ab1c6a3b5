// Selection: where a mask is true and the elements there, and the best of boxes that overlap.
#include <algorithm>

#include "norm_rows.h"
#include "words.h"

namespace tl::TL_ISA {
namespace {

// Masks are contiguous bool arrays, counted in chunks first, so that every chunk knows where its
// elements go.

constexpr int64_t kChunk = 16384;

int64_t chunks_of(const View& mask) { return (mask.size() + kChunk - 1) / kChunk; }

bool is_mask(const View& mask) { return mask.dtype == DType::bool_ && mask.contiguous(); }

// out[c]: true elements before chunk c; the last one counts all.
const char* mask_counts(const Arg* args, int) {
  const View &out = *args[0].a, &mask = *args[1].a;
  const int64_t n = mask.size(), chunks = chunks_of(mask);
  if (!is_mask(mask) || out.dtype != DType::i64 || !out.contiguous() || out.size() != chunks + 1)
    return "expected a contiguous bool array and an i64 out for its chunks of 16384 and one more";
  int64_t* counts = out.ptr<int64_t>();
  parallel_for(chunks, 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      const uint8_t* p = mask.ptr<uint8_t>() + c * kChunk;
      const int64_t m = n - c * kChunk < kChunk ? n - c * kChunk : kChunk;
      int found = 0;
      for (int64_t i = 0; i < m; ++i) found += p[i] != 0;
      counts[c + 1] = found;
    }
  });
  counts[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) counts[c + 1] += counts[c];
  return nullptr;
}

bool counts_fit(const View& counts, const View& mask) {
  return counts.dtype == DType::i64 && counts.contiguous() && counts.size() == chunks_of(mask) + 1;
}
int64_t total_of(const View& counts) { return counts.ptr<int64_t>()[counts.size() - 1]; }

// fn(i, place): element i of the mask is the place-th true one, place < room. The counts were made
// by another call, and may lie in what is written: what they allow is checked again.
template <class F>
TL_INLINE const char* each_true(const View& mask, const View& counts, int64_t room, const F& fn) {
  const int64_t n = mask.size();
  bool bad = false;
  parallel_for(chunks_of(mask), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      const uint8_t* p = mask.ptr<uint8_t>();
      int64_t place = counts.ptr<int64_t>()[c];
      const int64_t limit = counts.ptr<int64_t>()[c + 1];
      const int64_t last = n < (c + 1) * kChunk ? n : (c + 1) * kChunk;
      bool wrong = place < 0 || limit > room;
      for (int64_t i = c * kChunk; i < last && !wrong; ++i) {
        if (!p[i]) continue;
        wrong = place >= limit;
        if (!wrong) fn(i, place++);
      }
      if (wrong) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  return bad ? "the counts are not those of the mask" : nullptr;
}

// The positions of the true elements, (ndim, count), in row-major order.
const char* nonzero(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &counts = *args[2].a;
  if (!is_mask(x) || !out.contiguous() || !counts_fit(counts, x) || out.ndim != 2 ||
      out.shape[0] != x.ndim || out.shape[1] != total_of(counts) || out.dtype != DType::i64)
    return "expected a contiguous bool array, its counts, and an out (ndim, count)";
  const int64_t room = out.shape[1];
  return each_true(x, counts, room, [&](int64_t i, int64_t place) {
    int64_t rest = i;
    for (int axis = x.ndim - 1; axis > 0; --axis) {
      out.ptr<int64_t>()[axis * room + place] = rest % x.shape[axis];
      rest /= x.shape[axis];
    }
    if (x.ndim) out.ptr<int64_t>()[place] = rest;
  });
}

// out (count): the elements of x (contiguous, of the mask's shape) where the mask is true.
const char* masked_select(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &mask = *args[2].a, &counts = *args[3].a;
  if (!is_mask(mask) || !counts_fit(counts, mask) || !same_shape(x, mask) || !x.contiguous() ||
      !out.contiguous() || out.size() != total_of(counts) || out.dtype != x.dtype)
    return "expected x and a contiguous mask of one shape, and an out for what is true";
  const char* error = nullptr;
  const char* none = for_word(x.dtype, [&]<class Word>() {
    error = each_true(mask, counts, out.size(),
                      [&](int64_t i, int64_t place) { out.ptr<Word>()[place] = x.ptr<Word>()[i]; });
  });
  return none ? none : error;
}

// out (contiguous, of the mask's shape) takes the elements of `source` in order where the mask is
// true.
const char* masked_scatter(const Arg* args, int) {
  const View &out = *args[0].a, &mask = *args[1].a, &counts = *args[2].a, &source = *args[3].a;
  if (!is_mask(mask) || !counts_fit(counts, mask) || !same_shape(out, mask) || !out.contiguous() ||
      !source.contiguous() || source.dtype != out.dtype)
    return "expected out and a contiguous mask of one shape, and a contiguous source";
  if (source.size() < total_of(counts)) {
    return fail("masked_scatter: expected a source of at least %lld elements, got %lld",
                static_cast<long long>(total_of(counts)), static_cast<long long>(source.size()));
  }
  const char* error = nullptr;
  const char* none = for_word(out.dtype, [&]<class Word>() {
    error = each_true(mask, counts, source.size(), [&](int64_t i, int64_t place) {
      out.ptr<Word>()[i] = source.ptr<Word>()[place];
    });
  });
  return none ? none : error;
}

// --- boxes ---------------------------------------------------------------------------------------

// Boxes that were kept, as rows of `room` floats: left, top, right, bottom and area.
struct Kept {
  float* rows;
  int64_t room, count;

  // Whether one of them and a box share more than `limit` of what they cover together.
  bool overlap(const float* box, float area, float limit) const {
    const float *l = rows, *t = l + room, *r = t + room, *b = r + room, *a = b + room;
    for (int64_t first = 0; first < count; first += 64) {
      const int64_t end = first + 64 < count ? first + 64 : count;
      int found = 0;
      for (int64_t i = first; i < end; ++i) {
        const float wide = (r[i] < box[2] ? r[i] : box[2]) - (l[i] > box[0] ? l[i] : box[0]);
        const float tall = (b[i] < box[3] ? b[i] : box[3]) - (t[i] > box[1] ? t[i] : box[1]);
        const float both = wide * tall;
        const float ratio = both / (a[i] + area - both);
        found += (wide > 0) & (tall > 0) & (both > 0) & (ratio > limit);
      }
      if (found) return true;
    }
    return false;
  }

  void add(const float* box, float area) {
    for (int i = 0; i < 4; ++i) rows[i * room + count] = box[i];
    rows[4 * room + count++] = area;
  }
};

struct Candidate {
  float score;
  int64_t box;
  bool operator<(const Candidate& other) const {
    return score < other.score || (score == other.score && box > other.box);
  }
};

// The boxes (n, 4) of one class to keep, the best first, and -1 behind them.
bool best_of(int64_t* out, int64_t room, const float* boxes, const float* scores, int64_t n,
             float limit, float least) {
  Scratch memory((n + 1) * sizeof(Candidate)), space((room + 1) * 5 * sizeof(float));
  Candidate* heap = memory.as<Candidate>();
  Kept kept{space.as<float>(), room, 0};
  if (!heap || !kept.rows) return false;
  int64_t left = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float score = scores[i] == scores[i] ? scores[i] : -__builtin_inff();
    if (scores[i] > least || least != least) heap[left++] = Candidate{score, i};
  }
  std::make_heap(heap, heap + left);
  while (left && kept.count < room) {
    std::pop_heap(heap, heap + left);
    const int64_t at = heap[--left].box;
    const float* box = boxes + 4 * at;
    const float area = (box[2] - box[0]) * (box[3] - box[1]);
    if (kept.overlap(box, area, limit)) continue;
    out[kept.count] = at;
    kept.add(box, area);
  }
  for (int64_t i = kept.count; i < room; ++i) out[i] = -1;
  return true;
}

// out (images, classes, most) of boxes (images, n, 4) and scores (images, classes, n); a `least` of
// NaN is none.
const char* best_boxes(const Arg* args, int) {
  const View &out = *args[0].a, &boxes = *args[1].a, &scores = *args[2].a;
  if (out.ndim != 3 || boxes.ndim != 3 || scores.ndim != 3 || boxes.shape[2] != 4 ||
      out.shape[0] != scores.shape[0] || boxes.shape[0] != scores.shape[0] ||
      out.shape[1] != scores.shape[1] || boxes.shape[1] != scores.shape[2] ||
      out.dtype != DType::i64 || boxes.dtype != DType::f32 || scores.dtype != DType::f32 ||
      !out.contiguous() || !boxes.contiguous() || !scores.contiguous())
    return "best_boxes: expected contiguous f32 boxes and scores, and an i64 out";
  const int64_t classes = scores.shape[1], n = scores.shape[2], room = out.shape[2];
  const float limit = static_cast<float>(args[3].f), least = static_cast<float>(args[4].f);
  bool failed = false;
  parallel_for(scores.shape[0] * classes, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      if (!best_of(out.ptr<int64_t>() + i * room, room, boxes.ptr<float>() + i / classes * n * 4,
                   scores.ptr<float>() + i * n, n, limit, least))
        __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    }
  });
  return failed ? "best_boxes: out of memory" : nullptr;
}

}  // namespace

void register_mask(KernelTable& t);
void register_mask(KernelTable& t) {
  t.add("mask_counts", "out:out mask:in", mask_counts);
  t.add("nonzero", "out:out x:in counts:in", nonzero);
  t.add("masked_select", "out:out x:in mask:in counts:in", masked_select);
  t.add("masked_scatter", "out:inout mask:in counts:in source:in", masked_scatter);
  t.add("best_boxes", "out:out boxes:in scores:in overlap:f least:f", best_boxes);
}

}  // namespace tl::TL_ISA
