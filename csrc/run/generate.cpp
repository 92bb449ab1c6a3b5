// A language model continues a text: the prompt in chunks, then token by token.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "../core/call.h"
#include "../text/chat.h"
#include "arrays.h"
#include "runner.h"

namespace tl::cli {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Another one at each start.
uint64_t any_seed() {
  uint64_t seed = 0;
  return getentropy(&seed, sizeof seed) == 0
             ? seed
             : static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

// Text that is safe to show: what could be the beginning of a stop text is held back.
class Shown {
 public:
  explicit Shown(const std::vector<std::string>& stops) : stops_(stops) {}

  // What may be shown now; `stopped` is set at a stop text, before which the text ends.
  std::string push(const std::string& text, bool& stopped) {
    held_ += text;
    size_t end = std::string::npos, keep = 0;
    for (const std::string& stop : stops_) {
      end = std::min(end, held_.find(stop));
      for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
        if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) keep = n;
    }
    stopped = end != std::string::npos;
    const size_t count = stopped ? end : held_.size() - keep;
    std::string out = held_.substr(0, count);
    held_.erase(0, stopped ? std::string::npos : count);
    return out;
  }
  std::string finish() { return std::move(held_); }

 private:
  const std::vector<std::string>& stops_;
  std::string held_;
};

class Generation {
 public:
  Generation(Runner& runner, Error& error)
      : runner_(runner),
        error_(error),
        random_(runner.options.seed >= 0 ? static_cast<uint64_t>(runner.options.seed) : any_seed()),
        stream_(runner.tokenizer, true),
        shown_(runner.options.stops) {}

  bool run() {
    if (!encode() || !make_room()) return false;
    const double begin = now();
    if (!prefill()) return false;
    prefill_seconds_ = now() - begin;
    if (!decode()) return false;
    decode_seconds_ = now() - begin - prefill_seconds_;
    report();
    return true;
  }

 private:
  const Options& options() const { return runner_.options; }

  bool refuse(const char* wanted, const char* got) {
    return error_.set(ErrorKind::argument, "tallow-run", "expected %s, got %s", wanted, got);
  }

  bool encode() {
    if (!runner_.has_tokenizer) return refuse("a file with a tokenizer", "one without");
    if (!runner_.read_texts(true, error_)) return false;
    std::string text;
    for (const std::string& each : options().texts) text += (text.empty() ? "" : " ") + each;
    const char* wrong =
        options().chat ? encode_chat(text) : runner_.tokenizer.encode(text, true, true, ids_);
    if (wrong) return refuse("a text that can be encoded", wrong);
    if (ids_.empty()) return refuse("a prompt of at least one token", "none");
    prompt_ = ids_.size();
    return true;
  }

  const char* encode_chat(const std::string& text) {
    text::Chat chat;
    if (const char* wrong = chat.open(runner_.tokenizer)) return wrong;
    if (!chat.known()) return "a model whose file carries no chat template";
    std::vector<text::Message> messages;
    if (!options().system.empty()) messages.push_back({"system", options().system});
    messages.push_back({"user", text});
    std::vector<text::Part> parts;
    if (const char* wrong = chat.render(messages, true, parts)) return wrong;
    return runner_.tokenizer.encode_prompt(parts, ids_);
  }

  // Sizes of the state: as much as the answer may take, within the model's context.
  bool make_room() {
    prefill_ = runner_.plan("prefill", error_);
    decode_ = prefill_ ? runner_.plan("decode", error_) : nullptr;
    if (!decode_) return false;
    const auto& symbols = decode_->plan->symbols().symbols;
    if (symbols.size() != 1 || prefill_->plan->symbols().symbols.size() != 2)
      return refuse("plans of a length and a context", "others");
    const auto known = static_cast<int64_t>(prompt_);
    int64_t room = options().context ? options().context : known + options().max_tokens;
    room = (room + 255) / 256 * 256;
    context_ = std::clamp(room, symbols[0].least, symbols[0].most);
    if (options().context && options().context < context_)
      context_ = std::max(options().context, symbols[0].least);
    if (known >= context_)
      return error_.set(ErrorKind::argument, "tallow-run",
                        "expected a prompt of fewer than %lld tokens, got %lld",
                        static_cast<long long>(context_), static_cast<long long>(known));
    limit_ = std::min(options().max_tokens, context_ - known);
    chunk_ = std::min(prefill_->plan->symbols().symbols[0].most, runner_.number("chunk", 512));
    return true;
  }

  // One pass over `count` tokens after `start`; the logits of the last one.
  bool step(int64_t start, int64_t count) {
    Program::Entry& entry = count == 1 ? *decode_ : *prefill_;
    std::vector<int64_t> sizes = {context_};
    if (count > 1) sizes = {count, context_};
    if (!runner_.program->set(entry, sizes, error_)) return false;
    const int64_t shape[2] = {1, count}, one = 1;
    Array ids = new_array(DType::i64, shape, 2, {}, "tallow-run", error_);
    Array first = ids.ok() ? new_array(DType::i64, &one, 1, {}, "tallow-run", error_) : ids;
    if (!first.ok()) return false;
    for (int64_t i = 0; i < count; ++i)
      ids.ptr<int64_t>()[i] = ids_[static_cast<size_t>(start + i)];
    *first.ptr<int64_t>() = start;
    std::vector<Array> results;
    if (!entry.plan->call({&ids, &first}, results, error_)) return false;
    logits_ = std::move(results[0]);
    return true;
  }

  bool prefill() {
    for (int64_t at = 0, end = static_cast<int64_t>(prompt_); at < end;) {
      const int64_t count = std::min(chunk_, end - at);
      if (!step(at, count)) return false;
      at += count;
    }
    return true;
  }

  bool choose(uint32_t& token) {
    const float* logits = logits_.ptr<float>();
    for (int64_t i = 0; i < logits_.size(); ++i)
      if (!std::isfinite(logits[i]) && !(std::isinf(logits[i]) && logits[i] < 0))
        return refuse("logits that are numbers", "NaN or infinity: the model's weights are bad");
    const Options& o = options();
    const bool penalised = o.repetition != 1 || o.frequency != 0 || o.presence != 0;
    const auto all = static_cast<int64_t>(ids_.size());
    int64_t recent = !penalised ? 0 : o.window < 0 ? all : std::min(o.window, all);
    Array history = new_array(DType::i64, &recent, 1, {}, "tallow-run", error_);
    Array out = new_array(DType::i64, nullptr, 0, {}, "tallow-run", error_);
    if (!history.ok() || !out.ok()) return false;
    for (int64_t i = 0; i < recent; ++i)
      history.ptr<int64_t>()[i] = ids_[static_cast<size_t>(all - recent + i)];
    View row = logits_;
    row.ndim = 1;
    row.shape[0] = logits_.size();
    row.strides[0] = 1;
    const Array flat = logits_.with(row);
    Arg args[11] = {};
    const Array* arrays[3] = {&out, &flat, &history};
    for (int i = 0; i < 3; ++i) args[i].kind = Arg::array, args[i].a = arrays[i];
    const double reals[8] = {
        o.temperature, 0,           o.top_p,    o.min_p,
        o.repetition,  o.frequency, o.presence, o.temperature > 0 ? random_.next() : 0};
    for (int i = 0; i < 8; ++i) args[3 + i].kind = Arg::real, args[3 + i].f = reals[i];
    args[4].kind = Arg::integer;
    args[4].i = o.top_k;
    const Kernel* sample = kernels().find("sample");
    if (!sample || !run_checked(*sample, args, 11, error_)) return false;
    token = static_cast<uint32_t>(*out.ptr<int64_t>());
    return true;
  }

  void say(const std::string& text) {
    answer_ += text;
    if (options().json) return;
    fwrite(text.data(), 1, text.size(), stdout);
    fflush(stdout);
  }

  bool decode() {
    bool stopped = false;
    reason_ = "length";
    while (!stopped && static_cast<int64_t>(ids_.size() - prompt_) < limit_) {
      uint32_t token;
      if (!choose(token)) return false;
      if (runner_.tokenizer.ends(token)) {
        reason_ = "stop";
        break;
      }
      ids_.push_back(token);
      say(shown_.push(stream_.push(token), stopped));
      if (stopped) reason_ = "stop";
      const bool more = !stopped && static_cast<int64_t>(ids_.size() - prompt_) < limit_;
      if (more && !step(static_cast<int64_t>(ids_.size()) - 1, 1)) return false;
    }
    if (!stopped) {
      const std::string rest = shown_.push(stream_.finish(), stopped);
      say(stopped ? rest : rest + shown_.finish());
    }
    return true;
  }

  void report() {
    const size_t made = ids_.size() - prompt_;
    if (options().json) {
      std::string line = "{\"text\": ";
      append_json_text(answer_, line);
      line += ", \"tokens\": [";
      for (size_t i = prompt_; i < ids_.size(); ++i)
        line += (i > prompt_ ? ", " : "") + std::to_string(ids_[i]);
      line += "], \"prompt_tokens\": " + std::to_string(prompt_) + ", \"finish_reason\": \"" +
              reason_ + "\"}\n";
      fwrite(line.data(), 1, line.size(), stdout);
    } else {
      fputc('\n', stdout);
    }
    if (options().timings)
      fprintf(stderr, "prompt %zu tokens, %.1f ms (%.0f/s); answer %zu tokens, %.1f ms (%.1f/s)\n",
              prompt_, prefill_seconds_ * 1e3, static_cast<double>(prompt_) / prefill_seconds_,
              made, decode_seconds_ * 1e3, static_cast<double>(made) / decode_seconds_);
  }

  Runner& runner_;
  Error& error_;
  Random random_;
  text::StreamDecoder stream_;
  Shown shown_;
  Program::Entry *prefill_ = nullptr, *decode_ = nullptr;
  std::vector<uint32_t> ids_;
  size_t prompt_ = 0;
  int64_t context_ = 0, limit_ = 0, chunk_ = 512;
  Array logits_;
  std::string answer_;
  const char* reason_ = "length";
  double prefill_seconds_ = 0, decode_seconds_ = 0;
};

}  // namespace

bool generate(Runner& runner, Error& error) { return Generation(runner, error).run(); }

}  // namespace tl::cli
