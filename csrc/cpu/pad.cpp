// Elements moved within a frame and nothing computed: padding in all modes, which is rolling too
// (circular, of the same size), axes backwards, and triangles of matrices.
//
// A line of the output is a few runs: a stretch of the input forwards, backwards or of one element
// again and again, or the value that fills. They are the same for all lines, so each line costs a
// few copies. Only words are moved: the dtype does not matter, but for its size.
#include "../core/kernel.h"
#include "copy.h"
#include "norm_rows.h"
#include "transpose.h"

namespace tl::TL_ISA {
namespace {

enum Mode : int64_t { constant, reflect, replicate, circular, kModes };

// `count` positions of the output from `at` on show the input from `from` on, `step` at a time;
// below 0 there is nothing to show, and the value stands there.
struct Run {
  int64_t at, count, from, step;
};
constexpr int kMostRuns = 6;

struct Axis {
  int64_t length, out_length, before, stride;  // of the input, in elements

  TL_INLINE bool padded() const { return length != out_length || before != 0; }
  // Which position of the input the output shows at `i`; below 0: none.
  TL_INLINE int64_t source(Mode mode, int64_t i) const {
    int64_t j = i - before;
    if (mode == circular) return (j %= length) < 0 ? j + length : j;
    if (j >= 0 && j < length) return j;
    if (mode == constant) return -1;
    if (mode == replicate) return j < 0 ? 0 : length - 1;
    return j < 0 ? -j : 2 * (length - 1) - j;
  }
  // Brings `before` near, where the output is the same; gives whether every position of the output
  // that is not filled lies inside the input.
  bool fits(Mode mode) {
    if (out_length > 0 && length == 0 && mode != constant) return false;
    if (mode == circular) {
      before = length ? before % length : 0;
    } else if (mode == reflect) {
      if (before >= length || before < -length) return out_length == 0;
      return out_length - before - length < length;
    } else {
      before = before > out_length ? out_length : before < -length ? -length : before;
    }
    return true;
  }
  // The runs of a line along this axis; gives how many, or 0 when they are too many.
  int runs(Mode mode, Run (&found)[kMostRuns]) const {
    int count = 0;
    auto add = [&](int64_t at, int64_t n, int64_t from, int64_t step) {
      if (n > 0 && count < kMostRuns) found[count++] = {at, n, from, step};
    };
    if (mode == circular) {
      int64_t i = 0;
      for (; i < out_length && count < kMostRuns;) {
        const int64_t from = source(mode, i), rest = out_length - i;
        const int64_t n = length - from < rest ? length - from : rest;
        add(i, n, from, 1);
        i += n;
      }
      return i < out_length ? 0 : count;
    }
    const int64_t first = before < 0 ? 0 : before;
    int64_t last = before + length < out_length ? before + length : out_length;
    last = last < first ? first : last;
    const int64_t step = mode == reflect ? -1 : 0;
    add(0, first, source(mode, 0), step);
    add(first, last - first, first - before, 1);
    add(last, out_length - last, source(mode, last), step);
    return count;
  }
};

template <class Word>
void fill_words(std::byte* to, const std::byte* value, int64_t n) {
  const Word word = reinterpret_cast<const Loose<Word>*>(value)->value;
  for (int64_t i = 0; i < n; ++i) reinterpret_cast<Loose<Word>*>(to)[i].value = word;
}
template <class Word>
void copy_words(std::byte* to, const std::byte* from, int64_t step, int64_t n) {
  const auto* x = reinterpret_cast<const Loose<Word>*>(from);
  for (int64_t i = 0; i < n; ++i) reinterpret_cast<Loose<Word>*>(to)[i].value = x[i * step].value;
}

// Few bytes, as most lines of an image are: calls of the library cost more than they do.
TL_INLINE void copy_bytes(std::byte* to, const std::byte* from, int64_t bytes) {
  constexpr int64_t w = sizeof(vu);
  if (bytes < w || bytes > 1024) {
    memmove(to, from, static_cast<size_t>(bytes));
    return;
  }
  const vu last = load_as<vu>(from + bytes - w);
  for (int64_t i = 0; i < bytes - w; i += w) store_at(to + i, load_as<vu>(from + i));
  store_at(to + bytes - w, last);
}

// `value` may be null: zeros.
void fill(std::byte* to, const std::byte* value, int64_t n, int64_t size) {
  if (!value) {
    if (n == 1 && size == 4)
      memset(to, 0, 4);  // a store
    else
      memset(to, 0, static_cast<size_t>(n * size));
    return;
  }
  (size == 1   ? fill_words<uint8_t>
   : size == 2 ? fill_words<uint16_t>
   : size == 4 ? fill_words<uint32_t>
               : fill_words<uint64_t>)(to, value, n);
}
// Elements `step` apart, side by side.
void copy_run(std::byte* to, const std::byte* from, int64_t step, int64_t n, int64_t size) {
  if (step == 1) {
    copy_bytes(to, from, n * size);
    return;
  }
  if (n == 1 && size == 4) {  // the edges of images: a call would cost more than the line between
    memcpy(to, from, 4);
    return;
  }
  (size == 1   ? copy_words<uint8_t>
   : size == 2 ? copy_words<uint16_t>
   : size == 4 ? copy_words<uint32_t>
               : copy_words<uint64_t>)(to, from, step, n);
}

// The axes from the nearest to the farthest. What is not padded joins its neighbours where memory
// allows, so that lines are long.
int merged_axes(const Axis (&given)[kMaxDims], int ndim, Mode mode, Axis (&axes)[kMaxDims]) {
  int count = 0;
  for (int i = 0; i < ndim; ++i) {
    const Axis next = given[i];
    if (count > 0) {
      Axis& near = axes[count - 1];
      int64_t length;  // of a view that repeats an element, it could overflow
      const bool merges = !near.padded() && next.stride == near.length * near.stride &&
                          (!next.padded() || mode == constant || mode == circular) &&
                          !__builtin_mul_overflow(next.length, near.length, &length);
      if (merges) {
        near = {length, next.out_length * near.length, next.before * near.length, near.stride};
        continue;
      }
    }
    axes[count++] = next;
  }
  if (count == 0) axes[count++] = {1, 1, 0, 1};
  return count;
}

// Where the input lies for line `i` of the axes from the third on; false: nowhere.
bool far_offset(const Axis (&axes)[kMaxDims], int count, Mode mode, int64_t i, int64_t* at) {
  *at = 0;
  for (int k = 2; k < count; ++k) {
    const int64_t from = axes[k].source(mode, k + 1 < count ? i % axes[k].out_length : i);
    if (from < 0) return false;
    i /= axes[k].out_length;
    *at += from * axes[k].stride;
  }
  return true;
}

// All lines of the output, those of axes[0].
void write_lines(const View& out, const View& x, const std::byte* value, Mode mode,
                 const Axis (&axes)[kMaxDims], int count, const Run* runs, int pieces) {
  const Axis& line = axes[0];
  const int64_t size = bytes_of(x.dtype), width = line.out_length;
  const int64_t rows = count > 1 ? axes[1].out_length : 1;
  int64_t lines = 1;
  for (int i = 1; i < count; ++i) lines *= axes[i].out_length;
  parallel_for(lines, 32768 / (width * size) + 1, [&](int64_t begin, int64_t end, int) {
    int64_t y = begin % rows;
    bool there = false;
    int64_t base = 0;
    for (int64_t i = begin; i < end; ++i, ++y) {
      if (y == rows || i == begin) {
        y %= rows;
        there = far_offset(axes, count, mode, i / rows, &base);
      }
      const int64_t row = count > 1 ? axes[1].source(mode, y) : 0;
      const bool inside = there && row >= 0;
      const int64_t at = base + (count > 1 ? row * axes[1].stride : 0);
      std::byte* to = out.data + i * width * size;
      if (!inside) {
        fill(to, value, width, size);
        continue;
      }
      for (const Run* run = runs; run < runs + pieces; ++run) {
        if (run->from < 0)
          fill(to + run->at * size, value, run->count, size);
        else
          copy_run(to + run->at * size, x.data + (at + run->from * line.stride) * size,
                   run->step * line.stride, run->count, size);
      }
    }
  });
}

constexpr int kFirstBefore = 4;  // arguments in front of the numbers of positions

const char* pad(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const Mode mode = static_cast<Mode>(args[3].i);
  if (out.ndim != x.ndim || out.dtype != x.dtype || is_block(x.dtype) || !out.contiguous())
    return "pad: expected a contiguous out of the axes and the plain dtype of x";
  if (mode < 0 || mode >= kModes) return "pad: expected a mode from 0 to 3";
  const std::byte* value = args[2].kind == Arg::none ? nullptr : args[2].a->data;
  if (value && (args[2].a->dtype != x.dtype || args[2].a->size() != 1))
    return "pad: expected one value of the dtype of x";
  Axis given[kMaxDims];
  for (int i = 0; i < x.ndim; ++i) {
    given[i] = {x.back(i + 1), out.back(i + 1), args[kFirstBefore + i].i, x.back_stride(i + 1)};
    if (!given[i].fits(mode)) return "pad: expected pads that the shape of x allows";
  }
  if (out.size() == 0) return nullptr;
  Axis axes[kMaxDims];
  const int count = merged_axes(given, x.ndim, mode, axes);
  Run runs[kMostRuns];
  const int pieces = axes[0].runs(mode, runs);
  if (pieces == 0) return "pad: expected fewer rounds";
  write_lines(out, x, value, mode, axes, count, runs, pieces);
  return nullptr;
}

// Zeros above (or, for `upper`, below) the diagonal of each matrix, the rest as it is.
const char* triangle(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const int64_t diagonal = args[2].i;
  const bool upper = args[3].i != 0;
  if (x.ndim < 2 || !same_shape(out, x) || out.dtype != x.dtype || is_block(x.dtype) ||
      !out.contiguous())
    return "triangle: expected contiguous matrices of the shape and the plain dtype of x";
  const int64_t rows = x.back(2), columns = x.back(1), size = bytes_of(x.dtype);
  if (diagonal < -rows - 1 || diagonal > columns + 1)
    return "triangle: expected a diagonal of the matrix";
  if (out.size() == 0) return nullptr;
  const int64_t count = out.size() / columns;
  parallel_for(count, 16384 / columns + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i, at = 0;
      for (int axis = x.ndim - 2; axis >= 0; --axis) {
        at += rest % x.shape[axis] * x.strides[axis];
        rest /= x.shape[axis];
      }
      // The first column that is kept, or the first that is not.
      int64_t edge = i % rows + diagonal + (upper ? 0 : 1);
      edge = edge < 0 ? 0 : edge > columns ? columns : edge;
      const int64_t first = upper ? edge : 0, kept = upper ? columns - edge : edge;
      std::byte* to = out.data + i * columns * size;
      fill(to + (upper ? 0 : edge) * size, nullptr, columns - kept, size);
      const int64_t step = x.back_stride(1);
      copy_run(to + first * size, x.data + (at + first * step) * size, step, kept, size);
    }
  });
  return nullptr;
}

// Lines of 4-byte words, of which those of x run backwards.
void reverse_lines(const View& out, const View& x) {
  const int64_t n = x.back(1);
  StridedIterator<2> lines;
  for (int i = 0; i < x.ndim - 1; ++i) lines.axis(x.shape[i], {out.strides[i], x.strides[i]});
  parallel_for(lines.count, 16384 / n + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> it = lines;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      uint32_t* to = out.ptr<uint32_t>() + it.offset[0];
      const uint32_t* from = x.ptr<uint32_t>() + it.offset[1];
      for (int64_t j = 0; j < n; ++j) to[j] = from[-j];
    }
  });
}

// x with the axes of the mask (bit i stands for axis i) backwards.
const char* flip(const Arg* args, int) {
  const View& out = *args[0].a;
  View x = *args[1].a;
  if (!same_shape(out, x) || out.dtype != x.dtype || is_block(x.dtype))
    return "flip: expected out of the shape and the plain dtype of x";
  if (out.size() == 0) return nullptr;
  for (int i = 0; i < x.ndim; ++i) {
    if (!(args[2].i >> i & 1)) continue;
    x.data += (x.shape[i] - 1) * x.strides[i] * bytes_of(x.dtype);
    x.strides[i] = -x.strides[i];
  }
  if (bytes_of(x.dtype) == 4 && x.ndim && x.back(1) >= 2 * kLanes && x.back_stride(1) == -1 &&
      out.back_stride(1) == 1)
    reverse_lines(out, x);
  else
    return copy_array(out, x);
  return nullptr;
}

}  // namespace

void register_pad(KernelTable& t);
void register_pad(KernelTable& t) {
  static_assert(kMaxDims == 12, "a number for each axis, the last one first");
  t.add("pad",
        "out:out x:in value:in? mode:i before1:i before2:i before3:i before4:i before5:i "
        "before6:i before7:i before8:i before9:i before10:i before11:i before12:i",
        pad);
  t.add("flip", "out:out x:in axes:i", flip);
  t.add("triangle", "out:out x:in diagonal:i upper:i", triangle);
}

}  // namespace tl::TL_ISA
