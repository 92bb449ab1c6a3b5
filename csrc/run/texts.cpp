// Texts to vectors and to labels, in batches of one length.
#include <algorithm>
#include <cstdio>

#include "../core/call.h"
#include "arrays.h"
#include "runner.h"

namespace tl::cli {
namespace {

constexpr size_t kBatch = 8;

using Ids = std::vector<uint32_t>;

// A text as the model takes it, cut to its length.
bool encode(Runner& runner, const std::string& text, Ids& ids, Error& error) {
  const std::string prompted = std::string(runner.word("prompt", "")) + text;
  const auto most = static_cast<uint32_t>(std::max<int64_t>(runner.number("max_length", 512), 1));
  text::Row row;
  if (const char* wrong = runner.tokenizer.encode_row(prompted, nullptr, most, row))
    return error.set(ErrorKind::argument, "tallow-run",
                     "expected a text that can be encoded, got %s", wrong);
  ids = std::move(row.ids);
  return true;
}

// A plan of input_ids, attention_mask and token_type_ids (batch, length), as far as it takes them.
bool run_batch(Runner& runner, Program::Entry& entry, const std::vector<Ids>& rows, Array& out,
               Error& error) {
  size_t length = 1;
  for (const Ids& ids : rows) length = std::max(length, ids.size());
  const int64_t shape[2] = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(length)};
  const uint32_t pad = runner.tokenizer.pad() == text::kNone ? 0 : runner.tokenizer.pad();
  std::vector<Array> inputs;
  for (const std::string& name : entry.inputs) {
    Array made = new_array(DType::i64, shape, 2, {}, "tallow-run", error);
    if (!made.ok()) return false;
    int64_t* at = made.ptr<int64_t>();
    for (const Ids& ids : rows)
      for (size_t i = 0; i < length; ++i) {
        const bool real = i < ids.size();
        *at++ = name == "input_ids" ? (real ? ids[i] : pad) : name == "attention_mask" ? real : 0;
      }
    inputs.push_back(std::move(made));
  }
  std::vector<int64_t> sizes;
  for (const PlanSymbol& symbol : entry.plan->symbols().symbols)
    sizes.push_back(symbol.name == "batch" ? shape[0] : shape[1]);
  std::vector<const Array*> given;
  for (const Array& each : inputs) given.push_back(&each);
  std::vector<Array> results;
  if (!runner.program->set(entry, sizes, error) || !entry.plan->call(given, results, error))
    return false;
  out = contiguous(results[0], "tallow-run", error);
  return out.ok();
}

template <class Print>
bool each_batch(Runner& runner, const char* plan, const Print& print, Error& error) {
  Program::Entry* entry = runner.plan(plan, error);
  if (!entry) return false;
  if (!runner.has_tokenizer)
    return error.set(ErrorKind::argument, "tallow-run",
                     "expected a file with a tokenizer, got one without");
  if (!runner.read_texts(false, error)) return false;
  const std::vector<std::string>& texts = runner.options.texts;
  for (size_t at = 0; at < texts.size(); at += kBatch) {
    std::vector<Ids> rows(std::min(kBatch, texts.size() - at));
    for (size_t i = 0; i < rows.size(); ++i)
      if (!encode(runner, texts[at + i], rows[i], error)) return false;
    Array out;
    if (!run_batch(runner, *entry, rows, out, error)) return false;
    for (size_t i = 0; i < rows.size(); ++i) print(out, static_cast<int64_t>(i));
    fflush(stdout);
  }
  return true;
}

Array row_of(const Array& out, int64_t row) {
  View view = out;
  view.data += row * out.strides[0] * bytes_of(out.dtype);
  for (int i = 1; i < out.ndim; ++i) {
    view.shape[i - 1] = out.shape[i];
    view.strides[i - 1] = out.strides[i];
  }
  --view.ndim;
  return out.with(view);
}

}  // namespace

bool embed(Runner& runner, Error& error) {
  const auto print = [](const Array& out, int64_t row) {
    std::string line;
    append_json(row_of(out, row), line);
    puts(line.c_str());
  };
  return each_batch(runner, "embed", print, error);
}

bool classify(Runner& runner, Error& error) {
  return each_batch(
      runner, "classify",
      [&runner](const Array& out, int64_t row) { print_labels(runner, out, row); }, error);
}

void print_labels(const Runner& runner, const Array& probabilities, int64_t row) {
  Error error;
  const Array wide = cast(row_of(probabilities, row), DType::f32, "tallow-run", error);
  const Array flat = wide.ok() ? contiguous(wide, "tallow-run", error) : wide;
  if (!flat.ok()) return;
  const auto labels = runner.settings.find(0, "labels");
  std::vector<std::string_view> names;
  if (labels != text::Json::kMissing)
    for (auto v = runner.settings.first(labels); v != runner.settings.last(labels);
         v = runner.settings.next(v))
      names.push_back(runner.settings.string(v));
  std::vector<std::pair<float, int64_t>> order;
  for (int64_t i = 0; i < flat.size(); ++i) order.emplace_back(-flat.ptr<float>()[i], i);
  const size_t most = static_cast<size_t>(std::max<int64_t>(1, runner.number("top", 5)));
  std::stable_sort(order.begin(), order.end());
  if (order.size() > most) order.resize(most);
  std::string line = runner.options.json ? "[" : "";
  for (const auto& [negative, i] : order) {
    char number[32];
    snprintf(number, sizeof number, "%.6g", -negative);
    const auto place = static_cast<size_t>(i);
    const std::string name =
        place < names.size() ? std::string(names[place]) : "LABEL_" + std::to_string(i);
    if (runner.options.json) {
      line += line.size() > 1 ? ", {\"label\": " : "{\"label\": ";
      append_json_text(name, line);
      line += std::string(", \"score\": ") + number + "}";
    } else {
      line += (line.empty() ? "" : "  ") + name + " " + number;
    }
  }
  if (runner.options.json) line += "]";
  puts(line.c_str());
}

}  // namespace tl::cli
