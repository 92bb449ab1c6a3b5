// Random numbers: uniform, normal, integers, permutations, Poisson, dropout.
//
// A generator is an i64 array (seed, offset). A kernel takes as many Philox blocks as it needs off
// the offset in one atomic step, so threads never share numbers, and a replayed plan uniforms anew.
// Element i is made of fixed words of a fixed block: the number of threads does not matter.
#include "philox.h"
#include "simd/math.h"

namespace tl::TL_ISA {
namespace {

struct Stream {
  uint64_t seed = 0, offset = 0;
};

// Null and *stream, with `blocks` blocks taken; or the error.
const char* reserve(const View& state, int64_t blocks, Stream* stream) {
  if (state.dtype != DType::i64 || state.size() != 2 || !state.contiguous())
    return "expected a generator's state: (2,) in i64";
  stream->seed = static_cast<uint64_t>(__atomic_load_n(state.ptr<int64_t>(), __ATOMIC_RELAXED));
  stream->offset =
      static_cast<uint64_t>(__atomic_fetch_add(state.ptr<int64_t>() + 1, blocks, __ATOMIC_RELAXED));
  return nullptr;
}

// fn(first element, words, count) for each batch of 32 words: `per_word` elements come of a word,
// or 1 / -per_word of it.
constexpr int kWords = 4 * kPhiloxBatch;
template <class F>
TL_INLINE void each_batch(const Stream& stream, int64_t n, int per_batch, const F& fn) {
  const int64_t batches = (n + per_batch - 1) / per_batch;
  parallel_for(batches, 128, [&](int64_t begin, int64_t end, int) {
    alignas(32) uint32_t words[kWords];
    for (int64_t b = begin; b < end; ++b) {
      philox_batch(stream.seed, stream.offset + b * kPhiloxBatch, words);
      const int64_t first = b * per_batch;
      fn(first, words, n - first < per_batch ? static_cast<int>(n - first) : per_batch);
    }
  });
}
int64_t blocks_for(int64_t n, int per_batch) {
  return (n + per_batch - 1) / per_batch * kPhiloxBatch;
}

TL_INLINE uint64_t join(const uint32_t* pair) {
  return static_cast<uint64_t>(pair[1]) << 32 | pair[0];
}
// [0, 1) in steps of 2^-53.
TL_INLINE double unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

TL_INLINE vu load_words(const uint32_t* p) {
  vu v;
  memcpy(&v, p, sizeof v);
  return v;
}
// The upper `bits` bits as a fraction of 1; exact, as bits <= 24.
TL_INLINE vf fraction(vu words, int bits) {
  return to_vf((vi)(words >> (32 - bits))) * (1.f / static_cast<float>(int32_t{1} << bits));
}

template <class T>
void store_some(T* out, const float* values, int count) {
  for (int i = 0; i < count; ++i) out[i] = from_float<T>(values[i]);
}

// low + u * (high - low) with u in [0, 1): `high` itself, which rounding could give, is avoided.
const char* random_uniform(const Arg* args, int) {
  const View& out = *args[0].a;
  const double low = args[2].f, high = args[3].f;
  if (!out.contiguous()) return "expected a contiguous out";
  const int64_t n = out.size();
  const int per_batch = out.dtype == DType::f64 ? kWords / 2 : kWords;
  Stream stream;
  return for_float(out.dtype, "random_uniform", [&]<class T>() -> const char* {
    if (const char* error = reserve(*args[1].a, blocks_for(n, per_batch), &stream)) return error;
    if constexpr (__is_same(T, double)) {
      each_batch(stream, n, per_batch, [&](int64_t first, const uint32_t* words, int count) {
        for (int i = 0; i < count; ++i) {
          const double y = low + unit(join(words + 2 * i)) * (high - low);
          out.ptr<double>()[first + i] = y >= high && high > low ? low : y;
        }
      });
    } else {
      constexpr int bits = __is_same(T, float) ? 24 : __is_same(T, f16) ? 11 : 8;
      const float a = static_cast<float>(low), b = static_cast<float>(high), width = b - a;
      const bool plain = low == 0 && high == 1;
      each_batch(stream, n, per_batch, [&](int64_t first, const uint32_t* words, int count) {
        T* to = out.ptr<T>() + first;
        float values[kWords];
        for (int i = 0; i < kWords; i += kLanes) {
          vf u = fraction(load_words(words + i), bits);
          if (!plain) {
            u = u * width + a;
            u = select(u >= b, splat(a), u);
          }
          store(values + i, u);
        }
        if (count == kWords) {
          for (int i = 0; i < kWords; i += kLanes) store(to + i, load(values + i));
        } else {
          store_some(to, values, count);
        }
        if constexpr (!__is_same(T, float)) {
          for (int i = 0; i < count && !plain; ++i) {
            if (to_float(to[i]) >= b && width > 0) to[i] = from_float<T>(a);
          }
        }
      });
    }
    return nullptr;
  });
}

// sin and cos of 2 pi t for t in [0, 1), to about 2e-7. Taylor series on an eighth of a
// sin_cos_turns.
TL_INLINE void sin_cos_turns(vf t, vf* sine, vf* cosine) {
  const vf quarter = to_vf(to_vi(t * 4.f + 0.5f));
  const vf r = (t - quarter * 0.25f) * 6.283185307179586f, z = r * r;
  vf s = splat(2.7557319e-6f);
  s = fma(s, z, splat(-1.9841270e-4f));
  s = fma(s, z, splat(8.3333333e-3f));
  s = fma(s, z, splat(-1.6666667e-1f));
  s = fma(s * z, r, r);
  vf c = splat(-2.7557319e-7f);
  c = fma(c, z, splat(2.4801587e-5f));
  c = fma(c, z, splat(-1.3888889e-3f));
  c = fma(c, z, splat(4.1666667e-2f));
  c = fma(c, z, splat(-0.5f));
  c = fma(c, z, splat(1.f));
  const vi q = to_vi(quarter);
  const vi odd = (q & 1) != 0;
  const vi flip_s = (q & 2) << 30, flip_c = ((q + 1) & 2) << 30;
  *sine = (vf)((vi)select(odd, c, s) ^ flip_s);
  *cosine = (vf)((vi)select(odd, s, c) ^ flip_c);
}

// Box and Muller 1958: two uniform numbers make two independent normal ones.
const char* random_normal(const Arg* args, int) {
  const View& out = *args[0].a;
  const double mean = args[2].f, deviation = args[3].f;
  if (!out.contiguous()) return "expected a contiguous out";
  const int64_t n = out.size();
  const int per_batch = out.dtype == DType::f64 ? kWords / 2 : kWords;
  Stream stream;
  return for_float(out.dtype, "random_normal", [&]<class T>() -> const char* {
    if (const char* error = reserve(*args[1].a, blocks_for(n, per_batch), &stream)) return error;
    if constexpr (__is_same(T, double)) {
      each_batch(stream, n, per_batch, [&](int64_t first, const uint32_t* words, int count) {
        double* to = out.ptr<double>() + first;
        for (int i = 0; i < count; i += 2) {
          // 1 - u lies in (0, 1]: its logarithm is finite.
          const double radius = __builtin_sqrt(-2 * __builtin_log(1 - unit(join(words + 2 * i))));
          const double angle = 6.283185307179586 * unit(join(words + 2 * i + 2));
          to[i] = mean + deviation * (radius * __builtin_cos(angle));
          if (i + 1 < count) to[i + 1] = mean + deviation * (radius * __builtin_sin(angle));
        }
      });
    } else {
      const float m = static_cast<float>(mean), d = static_cast<float>(deviation);
      each_batch(stream, n, per_batch, [&](int64_t first, const uint32_t* words, int count) {
        T* to = out.ptr<T>() + first;
        float values[kWords];
        for (int i = 0; i < kWords; i = i % 16 + kLanes < 8 ? i + kLanes : (i / 16 + 1) * 16) {
          // Words 0 … 7 of each 16 give the radius, 8 … 15 the angle, whatever the vector's width.
          // The smallest u, 2^-33, ends the normal tail at 6.7 deviations.
          const vu w = load_words(words + i);
          const vf u = (to_vf((vi)(w >> 1)) + 0.25f) * 0x1p-31f;
          const vf radius = sqrt(log(u) * -2.f);
          vf s, c;
          sin_cos_turns(fraction(load_words(words + i + 8), 24), &s, &c);
          store(values + i, fma(radius * c, splat(d), splat(m)));
          store(values + i + 8, fma(radius * s, splat(d), splat(m)));
        }
        if (count == kWords) {
          for (int i = 0; i < kWords; i += kLanes) store(to + i, load(values + i));
        } else {
          store_some(to, values, count);
        }
      });
    }
    return nullptr;
  });
}

// The product's upper half maps 64 random bits onto [0, range); the bias is below range / 2^64.
TL_INLINE uint64_t below(uint64_t bits, uint64_t range) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(bits) * range >> 64);
}

// Integers in [low, low + range); range 0 stands for 2^64.
const char* random_integers(const Arg* args, int) {
  const View& out = *args[0].a;
  const uint64_t low = static_cast<uint64_t>(args[2].i), range = static_cast<uint64_t>(args[3].i);
  if (out.dtype != DType::i64 || !out.contiguous()) return "expected a contiguous out in i64";
  Stream stream;
  const int64_t n = out.size();
  if (const char* error = reserve(*args[1].a, blocks_for(n, kWords / 2), &stream)) return error;
  each_batch(stream, n, kWords / 2, [&](int64_t first, const uint32_t* words, int count) {
    for (int i = 0; i < count; ++i) {
      const uint64_t bits = join(words + 2 * i);
      out.ptr<int64_t>()[first + i] =
          static_cast<int64_t>(low + (range ? below(bits, range) : bits));
    }
  });
  return nullptr;
}

// 0 … n - 1 in random order: Fisher and Yates, one thread.
const char* random_permutation(const Arg* args, int) {
  const View& out = *args[0].a;
  if (out.dtype != DType::i64 || !out.contiguous()) return "expected a contiguous out in i64";
  const int64_t n = out.size();
  int64_t* p = out.ptr<int64_t>();
  Stream stream;
  const int per_batch = kWords / 2;
  if (const char* error = reserve(*args[1].a, blocks_for(n, per_batch), &stream)) return error;
  uint32_t words[kWords];
  for (int64_t i = 0; i < n; ++i) {
    if (i % per_batch == 0)
      philox_batch(stream.seed, stream.offset + i / per_batch * kPhiloxBatch, words);
    const int64_t j = static_cast<int64_t>(
        below(join(words + 2 * (i % per_batch)), static_cast<uint64_t>(i) + 1));
    p[i] = p[j];
    p[j] = i;
  }
  return nullptr;
}

// Poisson numbers of rate x. Small rates: products of uniforms (Knuth). Others: transformed
// rejection with squeeze (Hörmann 1993, PTRS).
struct UniformStream {
  uint64_t seed, counter, high = 0;
  double left[2];
  int count = 0;
  TL_INLINE double next() {
    if (count == 0) {
      uint32_t words[4];
      philox(seed, counter, high++, words);
      left[0] = unit(join(words)), left[1] = unit(join(words + 2));
      count = 2;
    }
    return left[--count];
  }
};
double poisson_of(double rate, UniformStream& uniforms) {
  if (!(rate > 0)) return 0;
  if (rate < 10) {
    const double limit = __builtin_exp(-rate);
    double product = uniforms.next();
    int64_t k = 0;
    while (product > limit) {
      product *= uniforms.next();
      ++k;
    }
    return static_cast<double>(k);
  }
  const double root = __builtin_sqrt(rate), log_rate = __builtin_log(rate);
  const double b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  while (true) {
    const double u = uniforms.next() - 0.5, v = 1 - uniforms.next();
    const double us = 0.5 - __builtin_fabs(u);
    const double k = __builtin_floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (__builtin_log(v) + __builtin_log(inverse_alpha) - __builtin_log(a / (us * us) + b) <=
        k * log_rate - rate - __builtin_lgamma(k + 1))
      return k;
  }
}
const char* random_poisson(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[2].a;
  if (out.dtype != DType::f64 || x.dtype != DType::f64 || !out.contiguous() || !x.contiguous() ||
      out.size() != x.size())
    return "expected contiguous out and rates in f64";
  const int64_t n = out.size();
  for (int64_t i = 0; i < n; ++i) {
    if (!(x.ptr<double>()[i] >= 0 && x.ptr<double>()[i] < 0x1p62))
      return fail("poisson: expected rates of at least 0, got %g", x.ptr<double>()[i]);
  }
  Stream stream;
  if (const char* error = reserve(*args[1].a, n, &stream)) return error;
  parallel_for(n, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      UniformStream uniforms{stream.seed, stream.offset + static_cast<uint64_t>(i), 1, {}, 0};
      out.ptr<double>()[i] = poisson_of(x.ptr<double>()[i], uniforms);
    }
  });
  return nullptr;
}

// out = x * mask / keep, where the mask is true with probability `keep`.
const char* random_dropout(const Arg* args, int) {
  const View &out = *args[0].a, &mask = *args[1].a, &x = *args[3].a;
  const double keep = args[4].f;
  const int64_t n = out.size();
  if (!out.contiguous() || !mask.contiguous() || !x.contiguous() || out.dtype != x.dtype ||
      mask.dtype != DType::bool_ || x.size() != n || mask.size() != n)
    return "expected contiguous out and x of one dtype and a bool mask";
  if (!(keep >= 0 && keep <= 1)) return fail("dropout: expected p in [0, 1], got %g", 1 - keep);
  // Kept when the word lies below keep * 2^32.
  const uint64_t limit = static_cast<uint64_t>(keep * 0x1p32 + 0.5);
  const uint32_t last = static_cast<uint32_t>(limit - (limit > 0));
  Stream stream;
  if (const char* error = reserve(*args[2].a, blocks_for(n, kWords), &stream)) return error;
  return for_float(x.dtype, "dropout", [&]<class T>() -> const char* {
    using S = typename OpMath<T>::Scalar;
    const S scale = keep > 0 ? static_cast<S>(1 / keep) : S(0);
    each_batch(stream, n, kWords, [&](int64_t first, const uint32_t* words, int count) {
      const T* from = x.ptr<T>() + first;
      T* to = out.ptr<T>() + first;
      uint8_t* kept = mask.ptr<uint8_t>() + first;
      for (int i = 0; i < count; ++i) kept[i] = (words[i] <= last) & (limit > 0);
      for (int i = 0; i < count; ++i) {
        to[i] = from_opmath<T>(to_opmath(from[i]) * (kept[i] ? scale : S(0)));
      }
    });
    return nullptr;
  });
}

}  // namespace

void register_random(KernelTable& t);
void register_random(KernelTable& t) {
  t.add("random_uniform", "out:out state:inout low:f high:f", random_uniform);
  t.add("random_normal", "out:out state:inout mean:f deviation:f", random_normal);
  t.add("random_integers", "out:out state:inout low:i range:i", random_integers);
  t.add("random_permutation", "out:out state:inout", random_permutation);
  t.add("random_poisson", "out:out state:inout rates:in", random_poisson);
  t.add("random_dropout", "out:out out_mask:out state:inout x:in keep:f", random_dropout);
}

}  // namespace tl::TL_ISA
