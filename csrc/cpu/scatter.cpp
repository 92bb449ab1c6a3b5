// Gathering and scattering along one axis: out[…, i, …] = x[…, index[…, i, …], …] and the converse,
// which may also add, multiply or take the extreme.
//
// An index that is the same for a whole row (expanded, stride 0) moves the row at once, so these
// two kernels also serve index_select, index_add, index_copy, embedding gradients and their like.
// A scatter is split between threads by what lies beside the axis, never along it: each target is
// written by one thread, in the order of the index, whatever the number of threads.
#include "copy.h"
#include "gather.h"
#include "overlap.h"
#include "scatter_moves.h"

namespace tl::TL_ISA {
namespace {

bool inside(const int64_t* index, int64_t stride, int64_t n, int64_t size) {
  const uint64_t bound = static_cast<uint64_t>(size);
  uint64_t bad = 0;
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(index[i]) >= bound;
  } else {
    for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(index[i * stride]) >= bound;
  }
  return bad == 0;
}

const char* outside(const View& index, int64_t size) {
  StridedIterator<1> all;
  for (int i = 0; i < index.ndim; ++i) all.axis(index.shape[i], {index.strides[i]});
  all.seek(0);
  for (int64_t i = 0; i < all.count; ++i, all.next()) {
    const int64_t got = index.ptr<int64_t>()[all.offset[0]];
    if (got < 0 || got >= size) {
      return fail("expected an index in [0, %lld), got %lld", static_cast<long long>(size),
                  static_cast<long long>(got));
    }
  }
  return nullptr;
}

// The index with its repeated axes once.
View distinct(const View& index) {
  View once = index;
  for (int i = 0; i < once.ndim; ++i) {
    if (once.strides[i] == 0) once.shape[i] = 1;
  }
  return once;
}

const char* all_inside(const View& index, int64_t size) {
  StridedIterator<1> all;
  for (int i = 0; i < index.ndim; ++i) all.axis(index.shape[i], {index.strides[i]});
  const InnerAxis<1> run(all);
  bool bad = false;
  parallel_for(all.count, 16384 / run.length + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<1> it = all;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      if (!inside(index.ptr<int64_t>() + it.offset[0], run.strides[0], run.length, size))
        __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  return bad ? outside(index, size) : nullptr;
}

// What moves: along the axis `n` elements; `outer` are the other axes, of which the nearest axis
// may have been taken off as the inner run (`by_row`), so that memory is walked in order.
struct AxisLoop {
  StridedIterator<3> outer;  // 0: table, 1: index, 2: many
  int64_t n, size, td, is, ms;
  bool by_row = false;
  int64_t length = 1, inner[3] = {};

  AxisLoop(const View& table, const View& index, const View& many, int axis)
      : n(index.shape[axis]),
        size(table.shape[axis]),
        td(table.strides[axis]),
        is(index.strides[axis]),
        ms(many.strides[axis]) {
    int order[kMaxDims], count = 0;
    auto size_of = [](int64_t x) { return x < 0 ? -x : x; };
    auto far = [&](int i) { return size_of(many.strides[i]) + size_of(table.strides[i]); };
    for (int i = 0; i < index.ndim; ++i) {
      if (i != axis && index.shape[i] != 1) order[count++] = i;
      for (int j = count - 1; j > 0 && i != axis && far(order[j - 1]) < far(order[j]); --j) {
        const int swap = order[j];
        order[j] = order[j - 1];
        order[j - 1] = swap;
      }
    }
    by_row = count > 0 && (n == 1 || far(order[count - 1]) < far(axis));
    for (int i = 0; i < count; ++i) {
      const int a = order[i];
      outer.axis(index.shape[a], {table.strides[a], index.strides[a], many.strides[a]});
    }
    if (by_row && outer.ndim > 0) {
      const InnerAxis<3> run(outer);
      length = run.length;
      for (int k = 0; k < 3; ++k) inner[k] = run.strides[k];
    }
  }
};

// Table, index and what is read or written, each with an axis at least. An index of one axis for a
// table of more stands for all beside it.
struct Problem {
  View table, index, many;
  int axis;
  const char* error;

  Problem(const View& given_table, int64_t given_axis, const View& given_index,
          const View& given_many)
      : table(line(given_table)), index(line(given_index)), many(line(given_many)) {
    const int64_t counted = given_axis + (given_axis < 0 ? table.ndim : 0);
    const bool there = counted >= 0 && counted < table.ndim;
    axis = there ? static_cast<int>(counted) : 0;
    if (there && index.ndim == 1 && many.ndim == table.ndim) expand_index();
    error = there ? check() : "expected an axis of the table";
  }

 private:
  static View line(View v) {
    if (v.ndim == 0) v.ndim = 1, v.shape[0] = v.strides[0] = 1;
    return v;
  }
  void expand_index() {
    const int64_t n = index.shape[0], step = index.strides[0];
    index.ndim = many.ndim;
    for (int i = 0; i < many.ndim; ++i) {
      index.shape[i] = i == axis ? n : many.shape[i];
      index.strides[i] = i == axis ? step : 0;
    }
  }
  const char* check() const {
    if (index.dtype != DType::i64) return "expected an index of integers";
    if (table.dtype != many.dtype) return "expected equal dtypes";
    if (index.size() == 0) return nullptr;  // whatever the shapes: nothing is moved
    bool fits = index.ndim == table.ndim && many.ndim == table.ndim;
    for (int i = 0; fits && i < index.ndim; ++i) {
      fits = index.shape[i] <= many.shape[i] && (i == axis || index.shape[i] <= table.shape[i]);
    }
    return fits ? nullptr : "expected an index of a fitting shape";
  }
};

// Calls fn(index in i64); i32 and other integers are converted.
template <class F>
TL_INLINE const char* with_index(const View& index, const F& fn) {
  if (index.dtype == DType::i64 || !is_integral(index.dtype) || index.dtype == DType::bool_)
    return fn(index);
  const Converted whole(distinct(index), DType::i64);
  if (whole.error) return whole.error;
  View view = whole.view;
  for (int i = 0; i < index.ndim; ++i) {
    view.shape[i] = index.shape[i];
    if (index.strides[i] == 0) view.strides[i] = 0;
  }
  return fn(view);
}

const char* gather_by(const View& out, const View& x, int64_t along, const View& given) {
  const Problem p(x, along, given, out);
  if (p.error) return p.error;
  const View& index = p.index;
  if (may_overlap(out, given)) return "expected an index that is no part of out";
  const MoveKernels kernels = by_word<Gather>(x.dtype);
  if (!kernels.row) return fail("no code for %s", row(x.dtype).name);
  if (index.size() == 0) return nullptr;
  const AxisLoop l(p.table, index, p.many, p.axis);
  const View once = distinct(index);
  const bool known = once.size() < index.size();  // what is repeated is looked at once
  if (known) {
    if (const char* error = all_inside(once, l.size)) return error;
  }
  const int64_t bytes = bytes_of(x.dtype);
  const int64_t* at = index.ptr<int64_t>();
  bool bad = false;
  if (l.by_row) {
    parallel_for(l.outer.count * l.n, 16384 / l.length + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<3> it = l.outer;
      int64_t j = begin % l.n;
      it.seek(begin / l.n);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t* position = at + it.offset[1] + j * l.is;
        std::byte* table = x.data + it.offset[0] * bytes;
        std::byte* many = out.data + (it.offset[2] + j * l.ms) * bytes;
        const bool same = l.inner[1] == 0;
        if (!known && !inside(position, l.inner[1], same ? 1 : l.length, l.size)) {
          __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
          return;
        }
        if (same)
          kernels.row(table + *position * l.td * bytes, l.inner[0], many, l.inner[2], l.length);
        else
          kernels.elements(table, l.inner[0], l.td, position, l.inner[1], many, l.inner[2],
                           l.length);
        if (++j == l.n) {
          j = 0;
          it.next();
        }
      }
    });
  } else {
    const int64_t cuts = (l.n + 8191) / 8192;
    parallel_for(l.outer.count * cuts, 8192 * cuts / l.n + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<3> it = l.outer;
      for (int64_t i = begin; i < end; ++i) {
        it.seek(i / cuts);
        const int64_t from = i % cuts * 8192;
        const int64_t m = l.n - from < 8192 ? l.n - from : 8192;
        const int64_t* position = at + it.offset[1] + from * l.is;
        if (!known && !inside(position, l.is, m, l.size)) {
          __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
          return;
        }
        kernels.elements(x.data + it.offset[0] * bytes, 0, l.td, position, l.is,
                         out.data + (it.offset[2] + from * l.ms) * bytes, l.ms, m);
      }
    });
  }
  return bad ? outside(index, l.size) : nullptr;
}

const char* gather(const Arg* args, int) {
  return with_index(*args[3].a, [&](const View& index) {
    return gather_by(*args[0].a, *args[1].a, args[2].i, index);
  });
}

// In place on `out`.
const char* scatter_by(const View& out, int64_t along, const View& given, const View& values,
                       Mode mode) {
  const Problem p(out, along, given, values);
  if (p.error) return p.error;
  const View &index = p.index, &source = p.many;
  if (may_overlap(out, given)) return "expected an index that is no part of out";
  const MoveKernels kernels =
      mode == kSet ? by_word<Scatter>(out.dtype) : reducing_kernels(out.dtype, mode);
  if (!kernels.row) return fail("no code for %s", row(out.dtype).name);
  if (index.size() == 0) return nullptr;
  const View once = distinct(index);
  if (const char* error = all_inside(once, p.table.shape[p.axis])) return error;

  const AxisLoop l(p.table, index, source, p.axis);
  const int64_t bytes = bytes_of(out.dtype);
  const int64_t* at = index.ptr<int64_t>();
  // How columns are cut does not matter for the result: each is one thread's.
  int64_t cuts = l.outer.count > 4 * num_threads() ? 1 : 4 * num_threads();
  if (cuts > (l.length + 63) / 64) cuts = (l.length + 63) / 64;
  const int64_t columns = (l.length + cuts - 1) / cuts;
  parallel_for(l.outer.count * cuts, 8192 / (l.n * columns) + 1,
               [&](int64_t begin, int64_t end, int) {
                 StridedIterator<3> it = l.outer;
                 for (int64_t i = begin; i < end; ++i) {
                   it.seek(i / cuts);
                   const int64_t from = i % cuts * columns;
                   const int64_t m = l.length - from < columns ? l.length - from : columns;
                   if (m <= 0) continue;
                   std::byte* table = out.data + (it.offset[0] + from * l.inner[0]) * bytes;
                   const int64_t* position = at + it.offset[1] + from * l.inner[1];
                   std::byte* many = source.data + (it.offset[2] + from * l.inner[2]) * bytes;
                   if (!l.by_row) {
                     kernels.elements(table, 0, l.td, position, l.is, many, l.ms, l.n);
                     continue;
                   }
                   for (int64_t j = 0; j < l.n; ++j) {
                     const int64_t* p = position + j * l.is;
                     if (l.inner[1] == 0)
                       kernels.row(table + *p * l.td * bytes, l.inner[0], many + j * l.ms * bytes,
                                   l.inner[2], m);
                     else
                       kernels.elements(table, l.inner[0], l.td, p, l.inner[1],
                                        many + j * l.ms * bytes, l.inner[2], m);
                   }
                 }
               });
  return nullptr;
}

// out = x, then the source's elements go to their positions; those of halves are reduced in f32.
const char* scatter_into(const Arg* args, Mode mode) {
  const View &out = *args[0].a, &x = *args[1].a, &source = *args[4].a;
  const int64_t axis = args[2].i;
  if (x.dtype != out.dtype || source.dtype != out.dtype) return "expected equal dtypes";
  return with_index(*args[3].a, [&](const View& index) {
    if (mode == kSet || (out.dtype != DType::f16 && out.dtype != DType::bf16)) {
      const char* error = copy_array(out, x);
      return error ? error : scatter_by(out, axis, index, source, mode);
    }
    const Converted wide(x, DType::f32), given(source, DType::f32);
    const char* error = wide.error ? wide.error : given.error;
    if (!error) error = scatter_by(wide.view, axis, index, given.view, mode);
    return error ? error : copy_array(out, wide.view);
  });
}

const char* scatter(const Arg* args, int) { return scatter_into(args, kSet); }
const char* scatter_add(const Arg* args, int) { return scatter_into(args, kAdd); }
const char* scatter_reduce(const Arg* args, int) {
  return scatter_into(args, static_cast<Mode>(args[5].i));
}

}  // namespace

const char* gather_along(const View& out, const View& x, int64_t axis, const View& index) {
  return gather_by(out, x, axis, index);
}
const char* scatter_along(const View& out, const View& values, int64_t axis, const View& index,
                          bool add) {
  return scatter_by(out, axis, index, values, add ? kAdd : kSet);
}

void register_scatter(KernelTable& t);
void register_scatter(KernelTable& t) {
  t.add("gather", "out:out x:in axis:i index:in", gather);
  t.add("scatter", "out:out x:in axis:i index:in source:in", scatter);
  t.add("scatter_add", "out:out x:in axis:i index:in source:in", scatter_add);
  t.add("scatter_reduce", "out:out x:in axis:i index:in source:in mode:i", scatter_reduce);
}

}  // namespace tl::TL_ISA
