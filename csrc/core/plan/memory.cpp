// Where temporaries lie: lifetimes, results on operands that are read for the last time, offsets.
#include <algorithm>

#include "../chain.h"
#include "../elementwise_op.h"
#include "tables.h"

namespace tl {
namespace {

// As of a storage's own memory: a multiple of a cache line, and bytes that vector loads may touch
// beyond the last element.
constexpr int64_t kAlign = 64, kSlack = 32;

int64_t room(int64_t bytes) { return (bytes + kSlack + kAlign - 1) / kAlign * kAlign; }

// Temporaries on one piece of memory.
struct Piece {
  int64_t bytes = 0, offset = -1;
  int first, last;
  std::vector<int> buffers;
};

bool is_whole(const PlanTables& tables, const PlanValue& value) {
  const PlanBuffer& buffer = tables.buffers[value.buffer];
  return buffer.role == Role::temporary && value.offset == 0 &&
         value.view.size() * bytes_of(value.view.dtype) == buffer.bytes;
}

bool same_places(const View& a, const View& b) {
  if (!same_shape(a, b) || bytes_of(a.dtype) != bytes_of(b.dtype)) return false;
  return std::equal(a.strides, a.strides + a.ndim, b.strides);
}

// The value of the operand that the call's result may overwrite, or -1: it is read here for the
// last time, element by element in the order of the result.
int overwritten(const PlanTables& tables, int at) {
  const PlanCall& call = tables.calls[at];
  const Arg* args = tables.args.data() + call.first;
  const bool by_elements = find_elementwise(call.kernel->name) || is_chain(*call.kernel);
  if (!by_elements || args[0].kind != Arg::array) return -1;
  const PlanValue& out = tables.values[args[0].i];
  if (!is_whole(tables, out) || tables.buffers[out.buffer].first != at) return -1;
  int found = -1;
  for (int i = 1; i < call.n; ++i) {
    if (args[i].kind != Arg::array) continue;
    const PlanValue& x = tables.values[args[i].i];
    if (found >= 0 && tables.values[found].buffer == x.buffer && found != args[i].i) return -1;
    if (found < 0 && is_whole(tables, x) && tables.buffers[x.buffer].last == at &&
        tables.buffers[x.buffer].device == tables.buffers[out.buffer].device &&
        same_places(x.view, out.view))
      found = static_cast<int>(args[i].i);
  }
  for (int i = 1; found >= 0 && i < call.n; ++i)
    if (args[i].kind == Arg::array && args[i].i != found &&
        tables.values[args[i].i].buffer == tables.values[found].buffer)
      return -1;
  return found;
}

std::vector<Piece> pieces_of(PlanTables& tables, Device device) {
  std::vector<Piece> pieces;
  std::vector<int> piece(tables.buffers.size(), -1);
  auto add = [&](int b) {
    const PlanBuffer& buffer = tables.buffers[b];
    if (buffer.role != Role::temporary || !(buffer.device == device) || buffer.first < 0) return;
    if (piece[b] < 0) {
      piece[b] = static_cast<int>(pieces.size());
      pieces.push_back({0, -1, buffer.first, buffer.last, {}});
    }
    Piece& on = pieces[piece[b]];
    on.bytes = std::max(on.bytes, room(buffer.bytes));
    on.last = std::max(on.last, buffer.last);
    on.buffers.push_back(b);
  };
  for (size_t at = 0; at < tables.calls.size(); ++at) {
    const PlanCall& call = tables.calls[at];
    const int over = overwritten(tables, static_cast<int>(at));
    for (int i = 0; i < call.n; ++i) {
      const Arg& arg = tables.args[call.first + i];
      if (arg.kind != Arg::array) continue;
      const int b = tables.values[arg.i].buffer;
      if (tables.buffers[b].first != static_cast<int>(at) || piece[b] >= 0) continue;
      if (i == 0 && over >= 0) piece[b] = piece[tables.values[over].buffer];
      add(b);
    }
  }
  return pieces;
}

}  // namespace

void find_lifetimes(PlanTables& tables) {
  for (PlanBuffer& buffer : tables.buffers) {
    buffer.first = buffer.last = -1;
    buffer.written = false;
  }
  for (size_t at = 0; at < tables.calls.size(); ++at) {
    const PlanCall& call = tables.calls[at];
    for (int i = 0; i < call.n; ++i) {
      const Arg& arg = tables.args[call.first + i];
      if (arg.kind != Arg::array) continue;
      PlanBuffer& buffer = tables.buffers[tables.values[arg.i].buffer];
      if (buffer.first < 0) buffer.first = static_cast<int>(at);
      buffer.last = static_cast<int>(at);
      buffer.written |= tables.is_written(call, i);
    }
  }
}

// The largest first, each at the lowest offset that is free while it lives.
int64_t plan_memory(PlanTables& tables, Device device) {
  find_lifetimes(tables);
  std::vector<Piece> pieces = pieces_of(tables, device);
  std::vector<Piece*> order, placed;  // the second by offset
  for (Piece& piece : pieces) order.push_back(&piece);
  std::stable_sort(order.begin(), order.end(),
                   [](const Piece* a, const Piece* b) { return a->bytes > b->bytes; });
  int64_t total = 0;
  for (Piece* piece : order) {
    int64_t at = 0;
    for (const Piece* other : placed) {
      if (other->last < piece->first || piece->last < other->first) continue;
      if (other->offset - at >= piece->bytes) break;
      at = std::max(at, other->offset + other->bytes);
    }
    piece->offset = at;
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), piece,
                         [](const Piece* a, const Piece* b) { return a->offset < b->offset; }),
        piece);
    total = std::max(total, at + piece->bytes);
    for (int b : piece->buffers) tables.buffers[b].offset = at;
  }
  return total;
}

}  // namespace tl
