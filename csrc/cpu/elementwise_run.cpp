// Elementwise kernels of up to three operands: the driver, and the choice of a loop by dtype.
#include "elementwise_driver.h"

namespace tl::TL_ISA {

constexpr int kOperands = kMaxInputs + 1;

void run_steps(const View* const* views, const Conversion* conversions, int inputs, Step step,
               const double* numbers) {
  drive<kOperands>(views, conversions, inputs, step, numbers);
}

const char* run_op(const Arg* args, int inputs, const Steps& steps, const char* name,
                   const double* numbers) {
  constexpr const char* kNoDtype = "no kernel for this dtype";
  const View* views[kOperands];
  for (int k = 0; k <= inputs; ++k) views[k] = args[k].a;
  if (const char* error = differ(views, inputs + 1)) return error;
  DType dtype = views[inputs]->dtype;
  if (is_block(dtype) || (is_float(dtype) && bytes_of(dtype) == 1)) return kNoDtype;
  if (steps.truth && inputs == 2 && compare_words(views, name)) return nullptr;
  ComputeType wide = compute_type(dtype);
  Step step = nullptr;
  bool real = false;
  if (wide == ComputeType::complex) {
#ifndef TL_HOT
    step = complex_step(name, &real);
#endif
  } else if (is_integral(dtype) && steps.words[0] && (dtype != DType::bool_ || !steps.i64)) {
    wide = ComputeType::raw;
    step = dtype == DType::bool_ ? steps.bools : steps.words[__builtin_ctz(bytes_of(dtype))];
  } else {
    step = wide == ComputeType::f32   ? steps.f32
           : wide == ComputeType::f64 ? steps.f64
           : wide == ComputeType::i64 ? steps.i64
                                      : steps.u64;
  }
  if (!step) return kNoDtype;
  Conversion conversions[kOperands];
  bool raw = steps.truth || real;
  if (views[0]->dtype != (steps.truth ? DType::bool_ : real ? DType::f32 : dtype))
    return "the output has another dtype than the result";
  conversions[0] = writing(views[0]->dtype, raw ? ComputeType::raw : wide);
  for (int k = 1; k <= inputs; ++k) {
    if (views[k]->dtype != dtype) return "the inputs have different dtypes";
    conversions[k] = reading(dtype, wide);
  }
  run_steps(views, conversions, inputs, step, numbers);
  return nullptr;
}

}  // namespace tl::TL_ISA
