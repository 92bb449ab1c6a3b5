// The operations of tallow.h: they settle dtypes, shapes and memory, and give new arrays.
#include <climits>

#include "c_api.h"
#include "contract.h"
#include "elementwise.h"
#include "index.h"
#include "join.h"

namespace tl {
namespace {

static_assert(TL_OMITTED == IndexItem::kOmitted, "tallow.h repeats the mark of a missing bound");

constexpr int kMostOperands = 3, kMostItems = 4 * kMaxDims;

// False, with the text kept, for what is no array.
bool expect_array(const char* where, const tl_array* array) {
  if (array) return true;
  fail("%s: expected an array, got NULL", where);
  return false;
}

// The array, with its data where a copy-on-write may have moved it.
Array current(const tl_array* array) {
  Array x = array->array;
  x.sync();
  return x;
}

bool read_operand(const char* where, const tl_operand& given, Operand& operand) {
  Number& number = operand.number;
  switch (given.kind) {
    case TL_ARRAY:
      if (!expect_array(where, given.array)) return false;
      operand.array = &given.array->array;
      return true;
    case TL_BOOLEAN:
    case TL_INTEGER:
      number.kind = given.kind == TL_BOOLEAN ? Number::boolean : Number::integer;
      number.i = given.kind == TL_BOOLEAN ? given.integer != 0 : given.integer;
      number.re = static_cast<double>(number.i);
      return true;
    case TL_REAL:
    case TL_COMPLEX:
      number.kind = given.kind == TL_REAL ? Number::real : Number::complex;
      number.re = given.real;
      number.im = given.kind == TL_REAL ? 0 : given.imag;
      return true;
    default:
      fail("%s: expected an array or a number, got kind %d", where, given.kind);
      return false;
  }
}

struct Elementwise {
  const ElementwiseOp* op = nullptr;
  const Kernel* kernel = nullptr;
  Operand operands[kMostOperands];

  // False, with the text kept, when name or counts are wrong.
  bool read(const char* name, const tl_operand* given, int n, const double* constants, int count) {
    op = name ? find_elementwise(name) : nullptr;
    kernel = op ? kernels().find(op->name) : nullptr;
    if (!kernel) {
      fail("tl_elementwise: expected the name of an elementwise op, got %.64s",
           name ? name : "NULL");
      return false;
    }
    if (n != op->operands || count != op->constants || !given || (count && !constants)) {
      fail("%s: expected %d operands and %d constants, got %d and %d", op->name, op->operands,
           op->constants, given ? n : 0, constants ? count : 0);
      return false;
    }
    for (int i = 0; i < n; ++i) {
      if (!read_operand(op->name, given[i], operands[i])) return false;
    }
    return true;
  }
};

bool read_item(const tl_index& given, IndexItem& item) {
  switch (given.kind) {
    case TL_INDEX:
      item.kind = IndexItem::integer;
      break;
    case TL_RANGE:
      item.kind = IndexItem::slice;
      break;
    case TL_NEW_AXIS:
      item.kind = IndexItem::new_axis;
      break;
    case TL_ELLIPSIS:
      item.kind = IndexItem::ellipsis;
      break;
    default:
      fail("tl_slice: expected a kind of index, got %d", given.kind);
      return false;
  }
  item.start = given.start;
  item.stop = given.stop;
  item.step = given.step;
  return true;
}

}  // namespace
}  // namespace tl

using namespace tl;

extern "C" {

const char* tl_view_signature(const char* name) {
  const ViewOp* op = name ? find_view(name) : nullptr;
  if (!op) fail("tl_view: expected the name of a view, got %.64s", name ? name : "NULL");
  return op ? op->signature : nullptr;
}

tl_array* tl_view(const tl_array* array, const char* name, const tl_list* lists, int n) {
  const char* where = "tl_view";
  if (!expect_array(where, array) || !tl_view_signature(name)) return nullptr;
  const ViewOp& op = *find_view(name);
  if (n != op.lists || (n && !lists)) {
    fail("%s: expected %d lists, got %d", op.name, op.lists, lists ? n : 0);
    return nullptr;
  }
  IntList all[4] = {};
  for (int i = 0; i < n; ++i) all[i] = {lists[i].values, lists[i].count};
  Error error;
  return handle(where, call_view(op, current(array), all, n, error), error);
}

tl_array* tl_slice(const tl_array* array, const tl_index* items, int n) {
  const char* where = "tl_slice";
  if (!expect_array(where, array)) return nullptr;
  if (n < 0 || n > kMostItems || (n && !items)) {
    fail("%s: expected 0 to %d items, got %d", where, kMostItems, items ? n : 0);
    return nullptr;
  }
  IndexItem all[kMostItems];
  for (int i = 0; i < n; ++i) {
    if (!read_item(items[i], all[i])) return nullptr;
  }
  Error error;
  return handle(where, index(current(array), all, n, error), error);
}

tl_array* tl_broadcast(const tl_array* array, const int64_t* shape, int ndim) {
  const tl_list list = {shape, ndim};
  return tl_view(array, "expand", &list, 1);
}

tl_array* tl_cat(tl_array* const* arrays, int n, int64_t axis) {
  const char* where = "tl_cat";
  if (n < 1 || n > TL_MAX_JOINED || !arrays) {
    fail("%s: expected 1 to %d arrays, got %d", where, TL_MAX_JOINED, arrays ? n : 0);
    return nullptr;
  }
  const Array* all[TL_MAX_JOINED];
  for (int i = 0; i < n; ++i) {
    if (!expect_array(where, arrays[i])) return nullptr;
    all[i] = &arrays[i]->array;
  }
  DType dtype = all[0]->dtype;
  for (int i = 1; i < n; ++i) dtype = promote_types(dtype, all[i]->dtype);
  Error error;
  return handle(where, cat(all, n, axis, dtype, error), error);
}

int tl_promote(const tl_operand* operands, int n) {
  const char* where = "tl_promote";
  if (n < 1 || !operands) {
    fail("%s: expected operands, got none", where);
    return -1;
  }
  Promotion groups;
  for (int i = 0; i < n; ++i) {
    Operand operand;
    if (!read_operand(where, operands[i], operand)) return -1;
    if (operand.array && is_block(operand.array->dtype)) {
      fail("%s: expected plain dtypes, got %s", where, row(operand.array->dtype).name);
      return -1;
    }
    if (operand.array)
      groups.add(*operand.array);
    else
      groups.add(operand.number);
  }
  return static_cast<int>(groups.result());
}

tl_array* tl_cast(const tl_array* array, int dtype) {
  const char* where = "tl_cast";
  if (!expect_array(where, array)) return nullptr;
  if (!known_dtype(dtype)) {
    fail("%s: expected a dtype code, got %d", where, dtype);
    return nullptr;
  }
  Error error;
  return handle(where, cast(current(array), static_cast<DType>(dtype), where, error), error);
}

tl_array* tl_contiguous(const tl_array* array) {
  const char* where = "tl_contiguous";
  if (!expect_array(where, array)) return nullptr;
  Error error;
  return handle(where, contiguous(current(array), where, error), error);
}

const char* tl_copy(tl_array* target, const tl_array* source) {
  const char* where = "tl_copy";
  if (!target || !source) return fail("%s: expected two arrays, got NULL", where);
  Error error;
  return assign(target->array, current(source), where, error) ? nullptr : fail(error);
}

tl_array* tl_elementwise(const char* op, const tl_operand* operands, int n, const double* constants,
                         int count) {
  Elementwise call;
  if (!call.read(op, operands, n, constants, count)) return nullptr;
  Error error;
  return handle(op, elementwise(*call.op, *call.kernel, call.operands, constants, error), error);
}

const char* tl_elementwise_into(tl_array* target, const char* op, const tl_operand* operands, int n,
                                const double* constants, int count) {
  if (!target) return fail("tl_elementwise_into: expected an array, got NULL");
  Elementwise call;
  if (!call.read(op, operands, n, constants, count)) return tl_last_error();
  Error error;
  bool done =
      elementwise_into(target->array, *call.op, *call.kernel, call.operands, constants, error);
  return done ? nullptr : fail(error);
}

tl_array* tl_reduce(const char* op, const tl_array* array, const int64_t* axes, int n,
                    int keepdim) {
  const char* where = "tl_reduce";
  if (!expect_array(where, array)) return nullptr;
  if (!op || n < 0 || (n && !axes)) {
    fail("%s: expected a name and axes, got NULL", where);
    return nullptr;
  }
  Error error;
  return handle(where, reduce(op, current(array), {axes, n}, keepdim != 0, error), error);
}

tl_array* tl_matmul(const tl_array* a, const tl_array* b) {
  const char* where = "tl_matmul";
  if (!expect_array(where, a) || !expect_array(where, b)) return nullptr;
  Error error;
  return handle(where, matmul(current(a), current(b), error), error);
}

}  // extern "C"
