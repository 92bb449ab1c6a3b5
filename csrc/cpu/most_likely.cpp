// A linear layer, softmax over its results, and the largest of them with its place: what a
// classifier of many classes is asked for, without writing a probability for each class.
#include "conv_last_tile.h"
#include "norm.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

// Classes of a chunk, whose sums stay in the second cache with its weights; chunks are computed
// alone and joined in their order, so that results do not depend on the number of threads.
constexpr int64_t kChunk = 16 * kPacked;
// Rows that read a panel of weights from near, and rows whose chunks are kept until they are
// joined.
constexpr int64_t kBlock = 48, kMostRows = 16 * kBlock;
// Floats from a row's sums to the next: lines of the cache a power of two apart would crowd.
constexpr int64_t kStep = kChunk + kPacked;
constexpr float kInf = __builtin_inff();

// Of a row over the classes of a chunk: the largest sum, and the sum of exp(x - largest). `index`
// is its place if it is larger than `before`, that of chunks before.
struct Found {
  float top, total, before;
  int64_t index;
};

struct MostLikely {
  const float *x, *weight, *bias;  // bias: of whole panels, -inf for classes that there are not
  int64_t rows, depth, classes;
  const int64_t* at;

  int64_t panels() const { return ceil_div(classes, kPacked); }
  int64_t chunks() const { return ceil_div(classes, kChunk); }
};

// NaN anywhere makes the total NaN.
Found found_in(const float* row, int64_t count, int64_t first, float before) {
  vf most[2] = {splat(-kInf), splat(-kInf)};
  for (int64_t i = 0; i < count; i += 2 * kLanes) {
    most[0] = max(load(row + i), most[0]);
    most[1] = max(load(row + i + kLanes), most[1]);
  }
  Found found = {max_lane(max(most[0], most[1])), 0, before, first};
  // -inf less -inf is NaN: classes that cannot be have a total of 0.
  const float shift = found.top < -__FLT_MAX__ ? -__FLT_MAX__ : found.top;
  vf a{}, b{};
  for (int64_t i = 0; i < count; i += 2 * kLanes) {
    a += exp_negative(load(row + i) - shift);
    b += exp_negative(load(row + i + kLanes) - shift);
  }
  found.total = sum(a + b);
  if (!(found.top > before)) return found;
  int64_t place = 0;
  while (place < count - 1 && row[place] != found.top) ++place;
  found.index += place;
  return found;
}

// Rows begin … end - 1 over a chunk of classes. `before`: of the chunk before, null if there is
// none. `sums` has kBlock rows.
[[gnu::noinline]] void sum_chunk(const MostLikely& v, int64_t begin, int64_t end, int64_t chunk,
                                 float* sums, const Found* before, Found* found) {
  constexpr int kPixels = kTilePixels[2];
  const float* row[kBlock];
  int64_t place[kBlock];
  const int64_t count = end - begin;
  for (int64_t i = 0; i < kBlock; ++i) {  // rows that there are not are the last
    row[i] = v.x + (begin + min64(i, count - 1)) * v.depth;
    place[i] = i * kStep;
  }
  const int64_t first = chunk * kChunk / kPacked,
                last = min64(first + kChunk / kPacked, v.panels());
  // Of the next panel, asked for by each tile; a single one reads panels as fast as they come.
  const int64_t lines = count > kPixels ? v.depth * kPixels / count : 0;
  for (int64_t panel = first; panel < last; ++panel) {
    const TileEnd e = {
        v.bias + panel * kPacked, sums + (panel - first) * kPacked, nullptr, true, true, false, 0};
    const float *weight = v.weight + panel * v.depth * kPacked, *next = weight + v.depth * kPacked;
    for (int64_t i = 0; i < count; i += kPixels) {
      for (int64_t k = 0; k < lines; ++k, next += kPacked) __builtin_prefetch(next, 0, 2);
      sum_tile<2>(row + i, v.at, v.depth, weight, 0, place + i, e);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const float most = before ? __builtin_fmaxf(before[i].top, before[i].before) : -kInf;
    found[i] = found_in(sums + i * kStep, (last - first) * kPacked, chunk * kChunk, most);
  }
}

// As softmax and argmax of its result: NaN, the first of all, where a sum is NaN or +inf, or all
// are -inf.
void join(const Found* found, int64_t chunks, int64_t step, int64_t* index, float* probability) {
  Found best = found[0];
  for (int64_t i = 1; i < chunks; ++i) {
    if (found[i * step].top > best.top) best = found[i * step];
  }
  float total = 0;
  for (int64_t i = 0; i < chunks; ++i) {
    const Found& one = found[i * step];
    total += one.total == 0 ? 0 : one.total * __builtin_expf(one.top - best.top);
  }
  const bool settled = total > 0;
  *index = settled ? best.index : 0;
  *probability = settled ? 1 / total : __builtin_nanf("");
}

// x with its rows beside each other.
void copy_contiguous(const View& x, float* to) {
  int64_t index[kMaxDims] = {}, from = 0;
  const int64_t size = x.size();
  for (int64_t i = 0; i < size; ++i) {
    to[i] = x.ptr<const float>()[from];
    for (int axis = x.ndim - 1; axis >= 0; --axis) {
      from += x.strides[axis];
      if (++index[axis] < x.shape[axis]) break;
      from -= index[axis] * x.strides[axis];
      index[axis] = 0;
    }
  }
}

const char* run(MostLikely& v, const View& x, const View* bias, int64_t* index,
                float* probability) {
  const int64_t padded = v.panels() * kPacked, most = min64(v.rows, kMostRows);
  Scratch lists(v.depth * sizeof(int64_t) + padded * sizeof(float) + 64),
      memory(kBlock * kStep * sizeof(float) * num_threads()),
      all(v.chunks() * most * sizeof(Found)), copy(x.contiguous() ? 64 : x.size() * sizeof(float));
  if (!copy.as<char>() || !lists.as<char>() || !memory.as<char>() || !all.as<char>())
    return "linear_most_likely: out of memory";
  v.x = x.contiguous() ? x.ptr<const float>() : copy.as<float>();
  if (!x.contiguous()) copy_contiguous(x, copy.as<float>());
  int64_t* at = lists.as<int64_t>();
  for (int64_t k = 0; k < v.depth; ++k) at[k] = k;
  float* biases = reinterpret_cast<float*>(at + v.depth);
  for (int64_t c = 0; c < padded; ++c)
    biases[c] = c >= v.classes ? -kInf : bias ? bias->ptr<const float>()[c] : 0;
  v.at = at;
  v.bias = biases;
  Found* found = all.as<Found>();
  for (int64_t low = 0; low < v.rows; low += most) {
    const int64_t count = min64(most, v.rows - low);
    parallel_for(v.chunks(), 1 + 65536 / (count * v.depth * kChunk + 1),
                 [&](int64_t begin, int64_t end, int worker) {
                   float* sums = memory.as<float>() + worker * kBlock * kStep;
                   for (int64_t c = begin; c < end; ++c) {
                     for (int64_t i = 0; i < count; i += kBlock)
                       sum_chunk(v, low + i, low + min64(i + kBlock, count), c, sums,
                                 c > begin ? found + (c - 1) * most + i : nullptr,
                                 found + c * most + i);
                   }
                 });
    for (int64_t i = 0; i < count; ++i)
      join(found + i, v.chunks(), most, index + low + i, probability + low + i);
  }
  return nullptr;
}

const char* check(const View* const* given, int64_t classes) {
  const View &index = *given[0], &probability = *given[1], &x = *given[2], &weight = *given[3];
  if (index.dtype != DType::i64 || probability.dtype != DType::f32 || x.dtype != DType::f32 ||
      !index.contiguous() || !probability.contiguous())
    return "linear_most_likely: expected x in f32, contiguous probabilities in f32 and places in "
           "i64";
  if (x.ndim < 1 || !same_shape(index, probability) ||
      index.size() * x.shape[x.ndim - 1] != x.size() || (x.size() == 0) != (index.size() == 0))
    return "linear_most_likely: expected a place and a probability for each row of x";
  if (weight.dtype != DType::f32 || weight.ndim != 3 || !weight.contiguous() || classes < 1 ||
      weight.shape[0] != (classes - 1) / kPacked + 1 || weight.shape[1] < 1 ||
      weight.shape[1] != x.shape[x.ndim - 1] || weight.shape[2] != kPacked)
    return "linear_most_likely: expected a weight that conv_last_weight gave";
  if (given[4] && (given[4]->dtype != DType::f32 || given[4]->ndim != 1 ||
                   given[4]->shape[0] != classes || !given[4]->contiguous()))
    return "linear_most_likely: expected a contiguous bias in f32 with one element per class";
  for (int i = 1; i < 5; ++i) {
    const bool shared = given[i] && (may_overlap(index, *given[i]) ||
                                     (i > 1 && may_overlap(probability, *given[i])));
    if (shared) return "linear_most_likely: expected results on memory of their own";
  }
  return nullptr;
}

const char* linear_most_likely(const Arg* args, int) {
  const View* given[5];
  for (int i = 0; i < 5; ++i) given[i] = args[i].kind == Arg::array ? args[i].a : nullptr;
  const View& x = *given[2];
  MostLikely v;
  v.classes = args[5].i;
  if (const char* error = check(given, v.classes)) return error;
  v.rows = given[0]->size();
  v.depth = x.shape[x.ndim - 1];
  if (v.rows == 0) return nullptr;
  v.weight = given[3]->ptr<const float>();
  return run(v, x, given[4], given[0]->ptr<int64_t>(), given[1]->ptr<float>());
}

}  // namespace

void register_most_likely(KernelTable& t);
void register_most_likely(KernelTable& t) {
  t.add("linear_most_likely", "index:out probability:out x:in weight:in bias:in? classes:i",
        linear_most_likely);
}

}  // namespace tl::TL_ISA
