// `linear` with float activations (`exact`): weights of any float or block dtype, by the number of
// rows.
#include <utility>

#include "../core/blas.h"
#include "../core/parallel.h"
#include "linear_order.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

// Products of fewer multiplications run side by side on our own threads.
constexpr int64_t kLeastExternal = int64_t{1} << 22;

// How cblas takes a matrix of these lines: the axis that has a step of 1, and the other's.
struct Lines {
  int transposed, line;
  bool fits;

  Lines(int64_t rows, int64_t columns, int64_t row, int64_t column) {
    const bool plain = (column == 1 || columns == 1) && (row >= columns || rows == 1);
    const int64_t step = plain ? max64(row, columns) : max64(column, rows);
    transposed = plain ? 111 : 112;
    line = static_cast<int>(step);
    fits = step < INT32_MAX && (plain || ((row == 1 || rows == 1) && column >= rows));
  }
};

// By the library of TALLOW_BLAS; false: it is none, or this product none for it.
bool by_blas(const Linear& l) {
  const Blas* blas = external_blas();
  if (!blas || l.out_rows) return false;
  for (const View* v : {&l.x, &l.weight, &l.out})
    if (v->dtype != DType::f32) return false;
  if (l.m * l.n < kLeastExternal / max64(1, l.k) || l.k == 0) return false;
  if (l.m >= INT32_MAX || l.n >= INT32_MAX || l.k >= INT32_MAX) return false;
  const Lines x(l.m, l.k, l.x.back_stride(2), l.x.back_stride(1)),
      w(l.k, l.n, l.weight.back_stride(1), l.weight.back_stride(2)),
      out(l.m, l.n, l.out.back_stride(2), l.out.back_stride(1));
  if (!x.fits || !w.fits || !out.fits || out.transposed != 111) return false;
  if (may_overlap(l.out, l.x) || may_overlap(l.out, l.weight) ||
      (l.has_residual && may_overlap(l.out, l.residual)))
    return false;
  if (blas->set_threads) blas->set_threads(num_threads());
  float* to = l.out.ptr<float>();
  blas->sgemm(101, x.transposed, w.transposed, static_cast<int>(l.m), static_cast<int>(l.n),
              static_cast<int>(l.k), 1, l.x.ptr<const float>(), x.line, l.weight.ptr<const float>(),
              w.line, 0, to, out.line);
  if (!l.has_bias && !l.act && !l.has_residual) return true;
  parallel_for(l.m, max64(1, 16384 / l.n), [&](int64_t begin, int64_t end, int) {
    for (int64_t column = 0; column < l.n; column += kColumns)
      write_tile(l, begin, end - begin, column, static_cast<int>(min64(kColumns, l.n - column)),
                 to + begin * out.line + column, out.line);
  });
  return true;
}

bool known(const Linear& l) {
  return with_plain(l.weight.dtype, [](auto) {}) || block_format(l.weight.dtype);
}

}  // namespace

bool takes_few_rows(const Linear& l) {
  return known(l) && l.m <= kDotRows && l.weight.back_stride(1) == 1 && Order(l).lanes > 1;
}

// Many rows by a weight of one row are one row by many: the same products in the same order, and
// neither is packed.
static bool is_one_column(const Linear& l) {
  return l.n == 1 && l.m > kDotRows && !l.out_rows && l.x.dtype == DType::f32 &&
         l.weight.dtype == DType::f32 && l.x.back_stride(1) == 1 && l.weight.back_stride(1) == 1 &&
         Order(l).lanes > 1;
}

static Linear turned(const Linear& l) {
  Linear made = l;
  made.x = l.weight;
  made.weight = l.x;
  made.m = 1;
  made.n = l.m;
  for (View* v : {&made.out, &made.residual}) {
    if (v == &made.residual && !l.has_residual) continue;
    std::swap(v->shape[0], v->shape[1]);
    std::swap(v->strides[0], v->strides[1]);
  }
  if (l.has_bias) {  // one number for all
    made.bias.ndim = 1;
    made.bias.shape[0] = l.m;
    made.bias.strides[0] = 0;
  }
  return made;
}

const char* linear_float(const Linear& l) {
  if (by_blas(l)) return nullptr;
  if (is_one_column(l)) {
    const Linear one = turned(l);
    return linear_few_rows({&one, 1});
  }
  if (!known(l)) return "linear: no kernel for this weight dtype";
  if (takes_few_rows(l)) return linear_few_rows({&l, 1});
  if (takes_columns(l)) return linear_columns(l);
  return takes_some_rows(l) ? linear_some_rows(l) : linear_many_rows(l);
}

const char* linear_float_several(const LinearSeveral& products) {
  bool few = true;
  for (int i = 0; i < products.count; ++i) few &= takes_few_rows(products.each[i]);
  if (few && !external_blas()) return linear_few_rows(products);
  const char* error = nullptr;
  for (int i = 0; !error && i < products.count; ++i) error = linear_float(products.each[i]);
  return error;
}

}  // namespace tl::TL_ISA
