// The views by name, for callers that have names and lists of integers only.
#include <cstring>

#include "views.h"

namespace tl {
namespace {

using Lists = const IntList*;

constexpr ViewOp kViews[] = {
    {"reshape", "shape:I", 1,
     [](const Array& x, Lists l, Error& error) { return reshape(x, l[0], error); }},
    {"view", "shape:I", 1,
     [](const Array& x, Lists l, Error& error) { return view(x, l[0], error); }},
    {"transpose", "a:i b:i", 2,
     [](const Array& x, Lists l, Error& error) {
       return transpose(x, *l[0].values, *l[1].values, error);
     }},
    {"permute", "axes:I", 1,
     [](const Array& x, Lists l, Error& error) { return permute(x, l[0], error); }},
    {"expand", "sizes:I", 1,
     [](const Array& x, Lists l, Error& error) { return expand(x, l[0], error); }},
    {"squeeze", "axis:i?", 1,
     [](const Array& x, Lists l, Error& error) {
       return l[0].count ? squeeze(x, *l[0].values, error) : squeeze(x, error);
     }},
    {"unsqueeze", "axis:i", 1,
     [](const Array& x, Lists l, Error& error) { return unsqueeze(x, *l[0].values, error); }},
    {"narrow", "axis:i start:i length:i", 3,
     [](const Array& x, Lists l, Error& error) {
       return narrow(x, *l[0].values, *l[1].values, *l[2].values, error);
     }},
    {"as_strided", "shape:I strides:I offset:i", 3,
     [](const Array& x, Lists l, Error& error) {
       return as_strided(x, l[0], l[1], *l[2].values, error);
     }},
    {"view_dtype", "dtype:i", 1,
     [](const Array& x, Lists l, Error& error) { return view_dtype(x, *l[0].values, error); }},
    {"view_as_real", "", 0,
     [](const Array& x, Lists, Error& error) { return view_as_real(x, error); }},
    {"view_as_complex", "", 0,
     [](const Array& x, Lists, Error& error) { return view_as_complex(x, error); }},
};

}  // namespace

const ViewOp* find_view(const char* name) {
  for (const ViewOp& op : kViews) {
    if (strcmp(op.name, name) == 0) return &op;
  }
  return nullptr;
}

Array call_view(const ViewOp& op, const Array& x, const IntList* lists, int n, Error& error) {
  bool fits = n == op.lists;
  const char* word = op.signature;
  for (int i = 0; fits && i < n; ++i) {
    word = strchr(word, ':') + 1;
    const int count = lists[i].count;
    fits = count >= 0 && (count == 0 || lists[i].values) &&
           (word[0] == 'I' || count == 1 || (count == 0 && word[1] == '?'));
  }
  if (fits) return op.make(x, lists, error);
  error.set(ErrorKind::argument, op.name, "expected the lists \"%s\", got %d others", op.signature,
            n);
  return {};
}

}  // namespace tl
