// Variances over any axes of any strided array, in double. For few elements: the reference takes
// vectors, but several calls.
#include "reduce.h"

namespace tl::TL_ISA {
namespace {

// Squared deviations from the mean of what `each` hands to its argument, n numbers. The mean of the
// deviations is taken off them, too: far from zero a rounded mean is off by more than they are.
template <class F>
TL_INLINE double squared_deviations(double n, const F& each) {
  double total = 0, rest = 0, squares = 0;
  each([&](double x) { total += x; });
  const double mean = total / n;
  each([&](double x) { rest += x - mean; });
  rest = __builtin_isfinite(rest) ? rest / n : 0;
  each([&](double x) { squares += (x - mean - rest) * (x - mean - rest); });
  return squares;
}

const char* var(const Arg* args, int) {
  const View& x = *args[1].a;
  const View out = with_reduced_axes(*args[0].a, x, args[2].i);
  int64_t reduced;
  if (const char* error = check_axes("var", out, x, args[2].i, &reduced)) return error;
  if (out.dtype != x.dtype) return "var: expected out in the dtype of x";
  const double n = static_cast<double>(reduced), left = n - args[3].f;
  const double freedom = left < 0 ? 0 : left;
  const Axes axes(out, x, static_cast<uint64_t>(args[2].i));
  return for_float(x.dtype, "var", [&]<class T>() -> const char* {
    parallel_for(axes.kept.count, 4000 / (reduced + 1) + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<2> kept = axes.kept;
      StridedIterator<1> rows = axes.reduced;
      const InnerAxis<1> run(rows);
      kept.seek(begin);
      for (int64_t i = begin; i < end; ++i, kept.next()) {
        auto each = [&](const auto& take) {
          rows.seek(0);
          for (int64_t r = 0; r < rows.count; ++r, rows.next()) {
            const T* p = reinterpret_cast<const T*>(axes.data) + kept.offset[1] + rows.offset[0];
            for (int64_t j = 0; j < run.length; ++j)
              take(static_cast<double>(to_opmath(p[j * run.strides[0]])));
          }
        };
        using S = typename OpMath<T>::Scalar;
        const double squares = squared_deviations(n, each);
        out.ptr<T>()[kept.offset[0]] = from_opmath<T>(static_cast<S>(squares / freedom));
      }
    });
    return nullptr;
  });
}

}  // namespace

void register_variance(KernelTable& t);
void register_variance(KernelTable& t) { t.add("var", "out:out x:in axes:i less:f", var); }

}  // namespace tl::TL_ISA
