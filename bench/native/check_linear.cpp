// Checks "linear", "matmul" and "dequantize" of one ISA build against plain scalar references in double.
// Build and run: bench/native/run.sh check [baseline|avx2]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "harness.h"

using namespace tl;

namespace {

std::mt19937 rng(7);
int failures = 0, checks = 0;

// |got - want| relative to the size of the sums that made it.
void expect(double got, double want, double size, double tolerance, const char* what, const char* dtype, int64_t m, int64_t n,
            int64_t k) {
  ++checks;
  if (std::fabs(got - want) <= tolerance * (size + 1e-30)) return;
  if (++failures <= 20) printf("WRONG %s %s m=%ld n=%ld k=%ld: got %g, want %g (size %g)\n", what, dtype, long(m), long(n), long(k), got, want, size);
}

double rounding(DType d) { return d == DType::f16 ? 1e-3 : d == DType::bf16 ? 8e-3 : 1e-5; }

void linear_case(DType dtype, DType xtype, int64_t m, int64_t n, int64_t k, bool exact, bool with_bias) {
  int64_t stride = k + 40;
  Buffer w = random_weights(dtype, n, k, rng), x = random_floats(xtype, m, stride, rng), out(xtype, m, n), bias = random_floats(DType::f32, 1, n, rng);
  View xv = x.view;
  xv.shape[1] = k;
  View bv = bias.view;
  bv.ndim = 1;
  bv.shape[0] = n;
  bv.strides[0] = 1;
  if (const char* e = call_linear(out.view, xv, w.view, with_bias ? &bv : nullptr, exact)) {
    printf("ERROR %s\n", e);
    ++failures;
    return;
  }
  std::vector<double> wf = as_double(w.view), xf = as_double(xv);
  if (!exact && dtype != DType::f8e4m3_128) {  // the scalar twin: each block of 32 rounded to max / 127
    for (size_t b = 0; b < xf.size(); b += 32) {
      float peak = 0;
      for (int i = 0; i < 32; ++i) peak = std::fmax(peak, std::fabs(float(xf[b + i])));
      float d = peak / 127.f, inverse = peak > 0 ? 127.f / peak : 0;
      for (int i = 0; i < 32; ++i) xf[b + i] = double(d) * std::nearbyintf(float(xf[b + i]) * inverse);
    }
  }
  std::vector<double> of = as_double(out.view), bf = as_double(bv);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = with_bias ? bf[j] : 0, size = std::fabs(sum);
      for (int64_t p = 0; p < k; ++p) {
        double t = wf[j * k + p] * xf[i * k + p];
        sum += t;
        size += std::fabs(t);
      }
      expect(of[i * n + j], sum, size, rounding(xtype), exact ? "exact" : "fast", row(dtype).name, m, n, k);
    }
  }
}

void matmul_case(DType dtype, int64_t m, int64_t n, int64_t k, int layout, int64_t batch, bool share_b) {
  auto operand = [&](int64_t rows, int64_t columns, bool transposed, bool shared) {
    Buffer b = transposed ? random_floats(dtype, (shared ? 1 : batch) * columns, rows, rng)
                          : random_floats(dtype, (shared ? 1 : batch) * rows, columns, rng);
    View& v = b.view;
    v.ndim = 3;
    v.shape[0] = batch;
    v.strides[0] = shared ? 0 : rows * columns;
    v.shape[1] = rows;
    v.shape[2] = columns;
    v.strides[1] = transposed ? 1 : columns;
    v.strides[2] = transposed ? rows : 1;
    return b;
  };
  Buffer a = operand(m, k, layout & 1, false), b = operand(k, n, layout & 2, share_b), out = operand(m, n, layout & 4, false);
  Arg args[3] = {arg(out.view), arg(a.view), arg(b.view)};
  if (const char* e = find("matmul")->fn(args, 3)) {
    printf("ERROR %s\n", e);
    ++failures;
    return;
  }
  std::vector<double> af = as_double(a.view), bf = as_double(b.view), of = as_double(out.view);
  for (int64_t z = 0; z < batch; ++z) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0, size = 0;
        for (int64_t p = 0; p < k; ++p) {
          double t = af[(z * m + i) * k + p] * bf[(z * k + p) * n + j];
          sum += t;
          size += std::fabs(t);
        }
        expect(of[(z * m + i) * n + j], sum, size + (dtype == DType::f16 ? 1e-4 : 0), dtype == DType::f64 ? 1e-14 : rounding(dtype), "matmul", row(dtype).name, m, n, k);
      }
    }
  }
}

}  // namespace

// "quick" as an argument: fewer shapes, for a sanitized build.
int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string(argv[1]) == "quick";
  std::vector<DType> weights = {DType::f32, DType::f16, DType::bf16};
  for (int d = 0; d < kDTypeCount; ++d) {
    if (is_block(DType(d))) weights.push_back(DType(d));
  }
  for (int threads : {1, 2, 5}) {
    if (quick && threads != 2) continue;
    set_num_threads(threads);
    for (DType d : weights) {
      int64_t block = block_of(d) == 1 ? 32 : block_of(d), wide = 576 / block * block;
      for (int64_t m : {1, 2, 3, 4, 5, 7, 17, 64, 513}) {
        for (int64_t n : {1, 7, 8, 9, 33, 192}) {
          if ((m * n > 20000 && threads != 2) || (quick && m * n > 1000)) continue;
          for (int64_t k : {block, 3 * block, wide ? wide : 1024}) {
            if (m * n * k > 60000000 && n != 192) continue;
            for (int exact = is_block(d) ? 0 : 1; exact < 2; ++exact) linear_case(d, DType::f32, m, n, k, exact, (m + n) % 2);
          }
        }
      }
      for (DType x : {DType::f16, DType::bf16}) {
        for (int64_t m : {1, 3, 19}) {
          for (int exact = is_block(d) ? 0 : 1; exact < 2; ++exact) linear_case(d, x, m, 33, block, exact, true);
        }
      }
      if (!is_block(d)) linear_case(d, DType::f32, 3, 9, 0, true, true), linear_case(d, DType::f32, 2, 9, 13, true, true), linear_case(d, DType::f32, 12, 9, 301, true, false);
    }
    for (DType d : {DType::f32, DType::f16, DType::bf16, DType::f64}) {
      for (int layout = 0; layout < 8; ++layout) {
        for (int64_t m : {1, 2, 5, 7, 50}) {
          for (int64_t n : {1, 3, 8, 17, 65}) {
            for (int64_t k : {0, 1, 7, 8, 64, 300}) {
              matmul_case(d, m, n, k, layout, 1 + (m + n) % 3, (m + k) % 2);
            }
          }
        }
      }
    }
    printf("threads %d: %d checks, %d wrong\n", threads, checks, failures);
  }
  return failures != 0;
}
