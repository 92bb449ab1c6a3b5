// The kernel "quantize": rows of floats to blocks of any format, in parallel by blocks.
#include "../../core/alloc.h"
#include "../../core/kernel.h"
#include "../../core/parallel.h"
#include "pack.h"

namespace tl::TL_ISA {
namespace {

constexpr int kMaxBlock = 256;

struct Packer {
  PackBlock pack = nullptr;
  bool searches = false;    // whether it always reads weights
  bool emphasises = false;  // see weigh_by_magnitude
  int64_t grain = 1;        // blocks: some 10 µs
};

Packer packer_of(DType dtype) {
  if (PackBlock p = simple_packer(dtype)) return {p, false, true, 16384 / block_of(dtype)};
  if (PackBlock p = narrow_packer(dtype)) return {p, false, false, 4096 / block_of(dtype)};
  if (PackBlock p = k_packer(dtype)) return {p, true, true, 4};
  if (PackBlock p = iq4_packer(dtype)) return {p, true, true, 1024 / block_of(dtype)};
  if (PackBlock p = grid_packer(dtype)) return {p, true, false, 1};
  return {ternary_grid_packer(dtype), true, false, 1};
}

bool all_finite(const float* x, int n) {
  vi bad{};
  for (int i = 0; i < n; i += kLanes) {
    vf v = load(x + i);
    bad |= v - v != 0.f;
  }
  bool any = false;
  for (int i = 0; i < kLanes; ++i) any |= bad[i] != 0;
  return !any;
}

// A model suffers more from an error in a large weight than from the same in a small one, so a
// search weighs it by (1 + x² / mean x²)^¼. Perplexity of SmolLM2-135M: iq4_xs 21.7 instead of 22.5
// (ggml 21.6), q3_k 33.6 either way (ggml 35.4), for 0.5% more error. ggml's ½, and x² without an
// importance matrix, cost more of the error and gained nothing further. On codebooks it does harm:
// iq3_s 43.6 without, 51.4 with ½.
void weigh_by_magnitude(const float* x, const float* w, int n, float* to) {
  vf squares{};
  for (int i = 0; i < n; i += kLanes) squares += load(x + i) * load(x + i);
  float mean = sum(squares) / static_cast<float>(n);
  vf inverse = splat(mean > 0 ? 1 / mean : 0);
  for (int i = 0; i < n; i += kLanes) {
    vf v = load(x + i);
    store(to + i, load(w + i) * sqrt(sqrt(splat(1.f) + v * v * inverse)));
  }
}

// The importances of a row's k elements as weights of mean 1. One of (nearly) 0 says that nothing
// is known of a column, not that it may be lost, so none is less than a millionth of the mean.
const char* weights_of(const float* v, int64_t k, float* weights) {
  double total = 0;
  for (int64_t i = 0; i < k; ++i) {
    if (!(v[i] >= 0 && v[i] <= 3e38f)) return "an importance is negative or not finite";
    total += v[i];
  }
  double scale = total > 0 ? static_cast<double>(k) / total : 0;
  for (int64_t i = 0; i < k; ++i) {
    double weight = total > 0 ? v[i] * scale : 1;
    weights[i] = static_cast<float>(weight > 1e-6 ? weight : 1e-6);
  }
  return nullptr;
}

const char* quantize(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (!x.contiguous() || !out.contiguous()) return "operands must be contiguous";
  if (x.size() != out.size()) return "sizes differ";
  if (x.dtype != DType::f32) return "x must be f32";
  Packer packer = is_block(out.dtype) ? packer_of(out.dtype) : Packer{};
  if (!packer.pack) return "no kernel for this dtype";
  int block = block_of(out.dtype), bytes = bytes_of(out.dtype);
  int64_t k = x.back(1), count = x.size() / block, per_row = k / block;
  if (k % block || x.ndim == 0) return "the last axis is not a multiple of the block";
  if (count == 0) return nullptr;

  bool weighed = args[2].kind == Arg::array;
  int64_t rows = x.size() / k, sets = 1;
  if (weighed) {
    const View& importance = *args[2].a;
    sets = importance.size() / k;
    if (importance.dtype != DType::f32 || !importance.contiguous() || importance.size() % k ||
        sets == 0 || rows % sets)
      return "importance must be f32, contiguous, (k) or for equal parts of the rows (parts, k)";
  }
  Scratch memory(weighed ? static_cast<size_t>(sets * k) * sizeof(float) : 0);
  float* weights = weighed ? memory.as<float>() : nullptr;
  if (weighed) {
    if (!weights) return "no memory for the weights";
    for (int64_t i = 0; i < sets; ++i) {
      const float* part = args[2].a->ptr<const float>() + i * k;
      if (const char* error = weights_of(part, k, weights + i * k)) return error;
    }
  }
  alignas(64) float ones[kMaxBlock];
  for (float& one : ones) one = 1;

  int bad_values = 0, too_large = 0;  // set by any thread
  parallel_for(count, packer.grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.ptr<const float>() + i * block;
      const float* w = packer.searches ? ones : nullptr;
      if (weighed) w = weights + i / per_row / (rows / sets) * k + i % per_row * block;
      alignas(64) float own[kMaxBlock];
      if (w && packer.emphasises) {
        weigh_by_magnitude(from, w, block, own);
        w = own;
      }
      if (!all_finite(from, block))
        __atomic_store_n(&bad_values, 1, __ATOMIC_RELAXED);
      else if (!packer.pack(from, w, out.ptr<uint8_t>() + i * bytes))
        __atomic_store_n(&too_large, 1, __ATOMIC_RELAXED);
    }
  });
  if (bad_values) return "x holds NaN or infinity";
  if (too_large) return "x holds values beyond the range of the blocks' scales";
  return nullptr;
}

}  // namespace

void register_quantize(KernelTable& t);
void register_quantize(KernelTable& t) {
  t.add("quantize", "out:out x:in importance:in?", quantize);
}

}  // namespace tl::TL_ISA
