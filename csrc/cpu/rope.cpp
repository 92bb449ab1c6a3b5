// Rotary position embedding: the table of cosines and sines, and the rotation of queries and keys
// by it.
#include "norm_rows.h"

namespace tl::TL_ISA {
namespace {

// out (b, n, 2r): cos(p * f) * scale, then sin(p * f) * scale; the angle is a float product, as in
// transformers.
const char* rope_table(const Arg* args, int) {
  const View &out = *args[0].a, &positions = *args[1].a, &freqs = *args[2].a;
  const float scale = static_cast<float>(args[3].f);
  const int64_t r = freqs.back(1), n = positions.back(1);
  if (positions.ndim != 2 || freqs.ndim != 1 || out.ndim != 3 ||
      out.shape[0] != positions.shape[0] || out.shape[1] != n || out.shape[2] != 2 * r) {
    return "rope_table: expected out (b, n, 2r), positions (b, n), freqs (r)";
  }
  if (out.dtype != DType::f32 || freqs.dtype != DType::f32)
    return "rope_table: expected out and freqs in f32";
  if (positions.dtype != DType::i64 && positions.dtype != DType::i32) {
    return fail("rope_table: expected positions in i64 or i32, got %s", row(positions.dtype).name);
  }
  const int64_t fs = freqs.strides[0], os = out.strides[2];
  parallel_for(positions.size(), 4000 / (r * 30 + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i / n * positions.strides[0] + i % n * positions.strides[1];
      const float p = positions.dtype == DType::i64
                          ? static_cast<float>(positions.ptr<int64_t>()[at])
                          : static_cast<float>(positions.ptr<int32_t>()[at]);
      float* to = out.ptr<float>() + i / n * out.strides[0] + i % n * out.strides[1];
      for (int64_t j = 0; j < r; ++j) {
        const float angle = p * freqs.ptr<float>()[j * fs];
        to[j * os] = __builtin_cosf(angle) * scale;
        to[(r + j) * os] = __builtin_sinf(angle) * scale;
      }
    }
  });
  return nullptr;
}

template <class V>
TL_INLINE V multiply_add(V a, V b, V c) {
  if constexpr (!__is_same(V, double)) {
    return fma(a, b, c);
  } else {
#ifdef __FP_FAST_FMA  // where it is an instruction
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
  }
}

// (a + bi) (c + si). Which of two products becomes a part of the addition is said here: left to
// the compiler, it differs between layouts.
template <class V>
TL_INLINE V rotated_real(V a, V b, V c, V s) {
  return multiply_add(a, c, -(b * s));
}
template <class V>
TL_INLINE V rotated_imaginary(V a, V b, V c, V s) {
  return multiply_add(b, c, a * s);
}

// Rotates the pairs (first + i*step, second + i*step) of one head. Each pair is read before it is
// written: out may be x.
template <class T>
TL_INLINE void rotate(const T* x, int64_t xs, T* out, int64_t os, const float* table, int64_t r,
                      bool interleaved, int64_t d) {
  int64_t i = 0;
  if constexpr (!__is_same(T, double)) {
    if (!interleaved && xs == 1 && os == 1) {
      for (; i + kLanes <= r; i += kLanes) {
        const vf c = load(table + i), s = load(table + r + i), a = load(x + i), b = load(x + r + i);
        store(out + i, rotated_real(a, b, c, s));
        store(out + r + i, rotated_imaginary(a, b, c, s));
      }
    }
  }
  const int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : r;
  for (; i < r; ++i) {
    const auto a = to_opmath(x[i * step * xs]), b = to_opmath(x[(i * step + apart) * xs]);
    const decltype(a + b) c = table[i], s = table[r + i];
    out[i * step * os] = from_opmath<T>(rotated_real(a, b, c, s));
    out[(i * step + apart) * os] = from_opmath<T>(rotated_imaginary(a, b, c, s));
  }
  if (out != x || xs != os) {
    for (int64_t j = 2 * r; j < d; ++j) out[j * os] = x[j * xs];
  }
}

const char* rope(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &table = *args[2].a;
  const bool interleaved = args[3].i != 0;
  if (x.ndim != 4 || table.ndim != 3)
    return "rope: expected x (b, n, h, d) and table (b or 1, n, 2r)";
  if (!same_shape(out, x) || out.dtype != x.dtype) return "rope: expected out like x";
  const int64_t b = x.shape[0], n = x.shape[1], h = x.shape[2], d = x.shape[3],
                r = table.shape[2] / 2;
  if ((table.shape[0] != b && table.shape[0] != 1) || table.shape[1] != n ||
      table.shape[2] != 2 * r || 2 * r > d) {
    return fail("rope: expected a table (%lld or 1, %lld, at most %lld), got (%lld, %lld, %lld)",
                static_cast<long long>(b), static_cast<long long>(n), static_cast<long long>(d),
                static_cast<long long>(table.shape[0]), static_cast<long long>(table.shape[1]),
                static_cast<long long>(table.shape[2]));
  }
  if (table.dtype != DType::f32) return "rope: expected the table in f32";
  const int64_t table_b = table.shape[0] == 1 ? 0 : table.strides[0];
  return for_float(x.dtype, "rope", [&]<class T>() -> const char* {
    bool ok = true;
    parallel_for(b * n, 16000 / (h * d + 1) + 1, [&](int64_t begin, int64_t end, int) {
      Scratch copy(table.strides[2] == 1 ? 0 : 2 * r * sizeof(float));
      if (!copy.template as<float>()) {
        __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
        return;
      }
      for (int64_t i = begin; i < end; ++i) {
        const int64_t bi = i / n, ni = i % n;
        const float* angles = table.ptr<float>() + bi * table_b + ni * table.strides[1];
        if (table.strides[2] != 1) {
          for (int64_t j = 0; j < 2 * r; ++j)
            copy.template as<float>()[j] = angles[j * table.strides[2]];
          angles = copy.template as<float>();
        }
        const T* from = x.ptr<T>() + bi * x.strides[0] + ni * x.strides[1];
        T* to = out.ptr<T>() + bi * out.strides[0] + ni * out.strides[1];
        for (int64_t hi = 0; hi < h; ++hi) {
          rotate(from + hi * x.strides[2], x.strides[3], to + hi * out.strides[2], out.strides[3],
                 angles, r, interleaved, d);
        }
      }
    });
    return ok ? nullptr : "rope: out of memory";
  });
}

}  // namespace

void register_rope(KernelTable& t);
void register_rope(KernelTable& t) {
  t.add("rope_table", "out:out positions:in freqs:in scale:f", rope_table);
  t.add("rope", "out:out x:in table:in interleaved:i", rope);
}

}  // namespace tl::TL_ISA
