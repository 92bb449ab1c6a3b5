// Along the last axis: products of vectors added up ("vecdot"), which are norms, too; the loss of
// a row of logits by its label ("label_nll"), and labels as rows ("one_hot").
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// In float, and in double every kBlock elements, so that a long sum keeps its digits.
constexpr int64_t kBlock = 4096;

double dot(const float* x, const float* y, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i += kBlock)
    total += static_cast<double>(
        sum_over(n - i < kBlock ? n - i : kBlock, 0.f,
                 [=](int64_t j, auto get) { return get(x + i + j) * get(y + i + j); }));
  return total;
}

// The sum of (x - y + eps)².
double square_distance(const float* x, const float* y, float eps, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = n - i < kBlock ? n - i : kBlock;
    total += static_cast<double>(sum_over(count, 0.f, [=](int64_t j, auto get) {
      const auto d = get(x + i + j) - get(y + i + j) + eps;
      return d * d;
    }));
  }
  return total;
}

enum Of { kProduct, kRoot, kDistance };

// out[…] = Σ a[…, j] · b[…, j], or the root of it, or of the squares of a - b + eps.
const char* pairs_of_rows(const View& out, const View& a, const View& b, Of of, float eps) {
  bool fits = a.ndim > 0 && same_shape(a, b) && a.ndim == out.ndim + 1 && a.dtype == b.dtype &&
              a.dtype == out.dtype;
  for (int i = 0; fits && i < out.ndim; ++i) fits = out.shape[i] == a.shape[i];
  if (!fits) return "vecdot: expected two arrays of one shape and dtype, and out without its end";
  const int64_t n = a.back(1);
  if (n > 1 && (a.back_stride(1) != 1 || b.back_stride(1) != 1))
    return "vecdot: expected vectors without gaps";
  StridedIterator<3> rows;
  for (int i = 0; i < out.ndim; ++i)
    rows.axis(out.shape[i], {out.strides[i], a.strides[i], b.strides[i]});
  if (a.dtype != DType::f32) return "vecdot: expected f32";
  if (rows.count == 0) return nullptr;
  parallel_for(rows.count, 16384 / (n + 1) + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<3> it = rows;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      const float *p = a.ptr<float>() + it.offset[1], *q = b.ptr<float>() + it.offset[2];
      const double x = of == kDistance ? square_distance(p, q, eps, n) : dot(p, q, n);
      out.ptr<float>()[it.offset[0]] = static_cast<float>(of == kProduct ? x : root(x));
    }
  });
  return nullptr;
}

const char* vecdot(const Arg* args, int) {
  return pairs_of_rows(*args[0].a, *args[1].a, *args[2].a, args[3].i ? kRoot : kProduct, 0.f);
}
const char* row_distances(const Arg* args, int) {
  return pairs_of_rows(*args[0].a, *args[1].a, *args[2].a, kDistance,
                       static_cast<float>(args[3].f));
}

// log(Σ exp(x)) where the greatest is infinite or some are NaN.
float infinite(const float* x, int64_t n) {
  float top = -__builtin_inff();
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] != x[i]) return x[i];
    top = x[i] > top ? x[i] : top;
  }
  return top;
}

// log(Σ exp(x)) of n logits; NaN where one is infinite or NaN.
double log_sum(const float* x, int64_t n) {
  constexpr float kInfinity = __builtin_inff();
  vf most = splat(-kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) most = max(load(x + i), most);
  if (i < n) most = max(load_or(x + i, n - i, -kInfinity), most);
  const float top = max_lane(most);
  const float total =
      sum_over(n, -kInfinity, [=](int64_t j, auto get) { return exp_negative(get(x + j) - top); });
  return static_cast<double>(top) + static_cast<double>(__builtin_logf(total));
}

// out[…] = log(Σ exp(x[…, j])).
const char* logsumexp(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  bool fits = x.ndim == out.ndim + 1 && x.dtype == DType::f32 && out.dtype == DType::f32;
  for (int i = 0; fits && i < out.ndim; ++i) fits = out.shape[i] == x.shape[i];
  if (!fits) return "logsumexp: expected x of f32, and out without its last axis";
  const int64_t n = x.back(1);
  if (n > 1 && x.back_stride(1) != 1) return "logsumexp: expected vectors without gaps";
  StridedIterator<2> rows;
  for (int i = 0; i < out.ndim; ++i) rows.axis(out.shape[i], {out.strides[i], x.strides[i]});
  if (rows.count == 0) return nullptr;
  parallel_for(rows.count, 4000 / (n + 1) + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> it = rows;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      const float* row = x.ptr<float>() + it.offset[1];
      const double found = log_sum(row, n);
      out.ptr<float>()[it.offset[0]] =
          static_cast<float>(found == found ? found : infinite(row, n));
    }
  });
  return nullptr;
}

// out[i] = -log_softmax(x[i])[label[i]], or -x[i][label[i]] of what is logarithms already.
const char* label_nll(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &labels = *args[2].a;
  const bool logits = args[3].i != 0;
  if (x.ndim != 2 || out.ndim != 1 || labels.ndim != 1 || out.shape[0] != x.shape[0] ||
      labels.shape[0] != x.shape[0] || x.dtype != DType::f32 || out.dtype != DType::f32 ||
      labels.dtype != DType::i64)
    return "label_nll: expected x (rows, classes) of f32, and a label of i64 and a result for each "
           "row";
  const int64_t n = x.shape[1], step = labels.strides[0];
  if (n > 1 && x.strides[1] != 1) return "label_nll: expected rows without gaps";
  for (int64_t i = 0; i < out.shape[0]; ++i) {
    const int64_t label = labels.ptr<int64_t>()[i * step];
    if (label < 0 || label >= n) return "label_nll: expected labels below the number of classes";
  }
  parallel_for(out.shape[0], logits ? 4000 / (n + 1) + 1 : 4096,
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const float* row = x.ptr<float>() + i * x.strides[0];
                   const double chosen = static_cast<double>(row[labels.ptr<int64_t>()[i * step]]);
                   out.ptr<float>()[i * out.strides[0]] =
                       static_cast<float>((logits ? log_sum(row, n) : 0) - chosen);
                 }
               });
  return nullptr;
}

// Zeros of i64, and 1 at the label in the last axis.
const char* one_hot(const Arg* args, int) {
  const View &out = *args[0].a, &labels = *args[1].a;
  bool fits = out.ndim == labels.ndim + 1 && out.dtype == DType::i64 && out.contiguous() &&
              labels.dtype == DType::i64;
  for (int i = 0; fits && i < labels.ndim; ++i) fits = out.shape[i] == labels.shape[i];
  if (!fits) return "one_hot: expected labels and a contiguous out with one more axis, of i64";
  const int64_t n = out.back(1);
  StridedIterator<1> it;
  for (int i = 0; i < labels.ndim; ++i) it.axis(labels.shape[i], {labels.strides[i]});
  it.seek(0);
  for (int64_t i = 0; i < it.count; ++i, it.next()) {
    const int64_t label = labels.ptr<int64_t>()[it.offset[0]];
    if (label < 0 || label >= n) return "one_hot: expected labels below the number of classes";
    int64_t* to = out.ptr<int64_t>() + i * n;
    memset(to, 0, static_cast<size_t>(n) * sizeof(int64_t));
    to[label] = 1;
  }
  return nullptr;
}

}  // namespace

void register_vecdot(KernelTable& t);
void register_vecdot(KernelTable& t) {
  t.add("vecdot", "out:out a:in b:in root:i", vecdot);
  t.add("row_distances", "out:out a:in b:in eps:f", row_distances);
  t.add("logsumexp", "out:out x:in", logsumexp);
  t.add("one_hot", "out:out labels:in", one_hot);
  t.add("label_nll", "out:out x:in labels:in logits:i", label_nll);
}

}  // namespace tl::TL_ISA
