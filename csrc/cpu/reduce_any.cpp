// any and all over any axes of any strided array.
#include "reduce.h"

namespace tl::TL_ISA {
namespace {

// Whether one of the elements has the truth that decides: true for any, false for all. -0 is false,
// NaN is true.
template <class T>
bool some_loop(const std::byte* at, int64_t stride, int64_t n, bool truth) {
  const T* p = reinterpret_cast<const T*>(at);
  for (int64_t i = 0; i < n;) {
    const int64_t end = i + 256 < n ? i + 256 : n;
    int found = 0;
    for (; i < end; ++i) {
      if constexpr (__is_same(T, f16))
        found |= ((p[i * stride].bits & 0x7fff) != 0) == truth;
      else
        found |= (p[i * stride] != 0) == truth;
    }
    if (found) return true;
  }
  return false;
}

using SomeLoop = bool (*)(const std::byte*, int64_t, int64_t, bool);
SomeLoop some_loop_of(DType dtype) {
  const bool halves = dtype == DType::f16 || dtype == DType::bf16;
  return dtype == DType::f64    ? some_loop<double>
         : dtype == DType::f32  ? some_loop<float>
         : halves               ? some_loop<f16>
         : !is_integral(dtype)  ? nullptr
         : bytes_of(dtype) == 8 ? some_loop<uint64_t>
         : bytes_of(dtype) == 4 ? some_loop<uint32_t>
         : bytes_of(dtype) == 2 ? some_loop<uint16_t>
                                : some_loop<uint8_t>;
}

template <bool kAll>
const char* any_all(const Arg* args, int) {
  const char* name = kAll ? "all" : "any";
  const View& x = *args[1].a;
  const View out = with_reduced_axes(*args[0].a, x, args[2].i);
  int64_t reduced;
  if (const char* error = check_axes(name, out, x, args[2].i, &reduced)) return error;
  if (out.dtype != DType::bool_)
    return fail("%s: expected a bool out, got %s", name, row(out.dtype).name);
  if (!is_integral(x.dtype) && bytes_of(x.dtype) == 1)
    return fail("%s: no code for %s", name, row(x.dtype).name);
  const SomeLoop loop = some_loop_of(x.dtype);
  if (!loop) return fail("%s: no code for %s", name, row(x.dtype).name);
  const Axes axes(out, x, static_cast<uint64_t>(args[2].i));
  const int bytes = bytes_of(x.dtype);
  parallel_for(axes.kept.count, 16000 / (axes.reduced.count + 1) + 1,
               [&](int64_t begin, int64_t end, int) {
                 StridedIterator<2> kept = axes.kept;
                 StridedIterator<1> rows = axes.reduced;
                 const InnerAxis<1> run(rows);
                 kept.seek(begin);
                 for (int64_t i = begin; i < end; ++i, kept.next()) {
                   bool found = false;
                   rows.seek(0);
                   for (int64_t r = 0; r < rows.count && !found; ++r, rows.next()) {
                     found = loop(axes.data + (kept.offset[1] + rows.offset[0]) * bytes,
                                  run.strides[0], run.length, !kAll);
                   }
                   out.ptr<uint8_t>()[kept.offset[0]] = found != kAll;
                 }
               });
  return nullptr;
}

}  // namespace

void register_any_all(KernelTable& t) {
  t.add("any", "out:out x:in axes:i", any_all<false>);
  t.add("all", "out:out x:in axes:i", any_all<true>);
}

}  // namespace tl::TL_ISA
