// Products of the same activations as one call: q, k and v, or gate and up. The activations are
// rounded to int8 once, and threads share all rows.
#include <algorithm>

#include "tables.h"

namespace tl {
namespace {

constexpr int kMost = 3;                    // products of one call
constexpr size_t kNear = 12;                // calls from the first product to the last one
enum { kOut, kX, kWeight, kBias, kExact };  // arguments of `linear`

class Joiner {
 public:
  explicit Joiner(PlanTables& tables)
      : tables_(tables),
        linear_(kernels().find("linear")),
        several_(kernels().find("linear_several")),
        gone_(tables.calls.size()) {}

  int run() {
    if (!several_) return 0;
    int joined = 0;
    for (size_t at = tables_.once; at < tables_.calls.size(); ++at) {
      size_t found[kMost] = {at};
      const int count = find(found);
      if (count > 1) join(found, count);
      joined += count > 1 ? count - 1 : 0;
    }
    size_t kept = 0;
    for (size_t at = 0; at < gone_.size(); ++at)
      if (!gone_[at]) tables_.calls[kept++] = tables_.calls[at];
    tables_.calls.resize(kept, {});
    return joined;
  }

 private:
  const Arg* args(size_t at) const { return tables_.args.data() + tables_.calls[at].first; }
  bool is_product(size_t at) const {
    return !gone_[at] && tables_.calls[at].kernel == linear_ && args(at)[kOut].kind == Arg::array;
  }
  int buffer(const Arg& arg) const {
    return arg.kind == Arg::array ? tables_.values[arg.i].buffer : -1;
  }
  // Whether the memory is the plan's own; other buffers may lie on one piece of memory.
  bool is_own(int buffer) const {
    const Role role = tables_.buffers[buffer].role;
    return role == Role::temporary || role == Role::output;
  }
  bool may_share(int a, int b) const { return a == b || !(is_own(a) || is_own(b)); }

  // Whether a call before it may change what a product reads, or touch what it writes.
  bool hinders(size_t call, size_t product) const {
    const PlanCall& c = tables_.calls[call];
    const Arg* own = args(product);
    for (int i = 0; i < c.n; ++i) {
      const int touched = buffer(args(call)[i]);
      if (touched < 0) continue;
      if (touched == buffer(own[kOut])) return true;
      for (int read : {kX, kWeight, kBias})
        if (tables_.is_written(c, i) && own[read].kind == Arg::array &&
            may_share(touched, buffer(own[read])))
          return true;
    }
    return false;
  }

  // The places of products that can be computed with the first one; gives how many.
  int find(size_t* found) const {
    if (!is_product(*found) || !is_own(buffer(args(*found)[kOut]))) return 0;
    const Arg* first = args(*found);
    const size_t end = std::min(*found + kNear, tables_.calls.size());
    int count = 1;
    for (size_t at = *found + 1; at < end && count < kMost; ++at) {
      if (!is_product(at)) continue;
      const Arg* own = args(at);
      bool fits = own[kX].i == first[kX].i && own[kExact].i == first[kExact].i &&
                  is_own(buffer(own[kOut])) && has_same_dtype(own[kWeight], first[kWeight]);
      for (size_t between = *found; fits && between < at; ++between)
        fits = gone_[between] || !hinders(between, at);
      if (fits) found[count++] = at;
    }
    return count;
  }
  bool has_same_dtype(const Arg& a, const Arg& b) const {
    return tables_.values[a.i].view.dtype == tables_.values[b.i].view.dtype;
  }

  void join(const size_t* found, int count) {
    Arg made[3 * kMost + 2] = {};
    for (int i = 0; i < count; ++i) {
      const Arg* own = args(found[i]);
      made[i] = own[kOut];
      made[kMost + 1 + i] = own[kWeight];
      made[2 * kMost + 1 + i] = own[kBias];
      gone_[found[i]] = i > 0;
    }
    made[kMost] = args(*found)[kX];
    made[3 * kMost + 1] = args(*found)[kExact];
    tables_.calls[*found] = {several_, tables_.args.size(), 3 * kMost + 2};
    tables_.args.insert(tables_.args.end(), std::begin(made), std::end(made));
  }

  PlanTables& tables_;
  const Kernel *linear_, *several_;
  std::vector<bool> gone_;
};

}  // namespace

int join_products(PlanTables& tables) { return Joiner(tables).run(); }

}  // namespace tl
