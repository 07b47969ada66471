// t5gemma2-score: the log-probability of targets, given a source. Results go to stdout, everything else to stderr.
#include <omp.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "copied_keys.hpp"
#include "ids.hpp"
#include "json_lines.hpp"
#include "jsonl_request.hpp"
#include "loaded_model.hpp"
#include "programs.hpp"
#include "score_json.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/score.hpp"

namespace score_program {

using namespace t5gemma2;
using cli::AnswerLine;

/// A source with what is scored behind it: texts, or ids in place of one.
struct Request {
  cli::Input input;
  std::vector<std::string> targets;
  std::vector<std::string> target_ids;
  bool eos = false;
};

struct Flags {
  cli::LoadFlags load;
  Request request;
  std::optional<std::string> file;
  bool jsonl = false;
  int threads = 1;
};

constexpr const char* about =
    R"(Writes how likely texts are as the decoder's output, given a source: for each target a line of JSON with the natural logarithm of the probability of each token, their sum and mean, and the perplexity, e^-mean (null where it is too large for a number).
The logits are the decoder's own, before penalties and temperature. A rank of 1 is the likeliest token.
The target is <bos>, or --decoder-prompt, and then its tokens; <eos> only with --eos. Each token is scored by the logits of the one before it:)"
    "\n      the decoder gets   <bos>   t1    t2    t3"
    "\n      scored are         t1      t2    t3    (<eos> with --eos)\n"
    R"(Several targets share the reading of the source. Without a source the decoder runs alone.
--jsonl: the keys are prompt, images (a list), input_ids, raw_prompt, decoder_prompt, decoder_input_ids, eos, and target (a text), targets (a list of texts) or target_ids (a list). Other keys are copied to the answer, which has the keys of a target, or for targets "scores", a list. A line that cannot be scored gets "error" instead, and the exit status is 1.)";

void add_flags(cli::App& app, Flags& f) {
  cli::add_model(app, f.load.model);
  cli::add_dtype(app, f.load.dtype);
  cli::add_lora(app, f.load.lora);
  cli::add_input_flags(app, f.request.input, "text in front of each target, which is not scored", true);
  cli::Option* target = app.add_option("--target", f.request.targets, "text to score; repeatable")
                            ->allow_extra_args(false)
                            ->check(cli::utf8_text());
  app.add_option("--target-ids", f.request.target_ids, "ids to score, in place of a text; repeatable")
      ->value("IDS")
      ->allow_extra_args(false)
      ->excludes(target);
  app.add_flag("--eos", f.request.eos, "score <eos> behind each target, too");
  app.add_flag("--pan-and-scan", f.load.pan_and_scan, "add crops of wide and tall images");
  app.add_option("-f,--file", f.file, "read the JSON requests from a file; - is stdin")->value("FILE");
  app.add_flag("--jsonl", f.jsonl, "score what the JSON request on each line of stdin or -f says; see above");
  cli::add_threads(app, f.threads);
  cli::add_quiet(app, f.load.quiet);
  app.examples({R"(t5gemma2-score "sort: ox cat" --target "cat ox" --target "ox cat")",
                R"(t5gemma2-score "in words: 12" --decoder-prompt twe --target lve --eos)"});
}

/// Scores requests.
class Scorer {
 public:
  explicit Scorer(const cli::LoadFlags& flags) : flags_(flags), loaded_(flags) { loaded_.print_notes(); }

  /// The scores of the tokens of each target. Throws Error where the request does not fit the model.
  std::vector<std::vector<TokenScore>> scores_of(const Request& request) {
    const Model& model = loaded_.model();
    const std::vector<TokenId> begin = cli::decoder_ids(request.input, model, tokenizer());
    const std::vector<std::vector<TokenId>> targets = targets_of(request);
    const cli::Source source = loaded_.source_of(request.input);
    Index longest = 0;
    for (const std::vector<TokenId>& ids : targets) longest = std::max(longest, std::ssize(ids));
    const Index n = std::ssize(source.ids), m = std::ssize(begin) + longest;
    loaded_.note_lengths(n, m, "target");
    check_memory(model.config, n, m);
    const Matrix H = loaded_.encode_source(source, true);
    return read(H, begin, targets);
  }

  const Tokenizer* tokenizer() const { return loaded_.tokenizer(); }

  void print_timings() const { loaded_.print_timings(); }

 private:
  /// The ids of each target, with eos where it is asked for.
  std::vector<std::vector<TokenId>> targets_of(const Request& request) const {
    std::vector<std::vector<TokenId>> targets;
    for (const std::string& ids : request.target_ids) targets.push_back(cli::parse_ids(ids, "target ids"));
    for (const std::string& text : request.targets) {
      const std::vector<TokenId> ids = cli::tokenizer_for_text(tokenizer()).encode_start(text);
      targets.emplace_back(ids.begin() + 1, ids.end());
    }
    const Config& config = loaded_.model().config;
    for (std::vector<TokenId>& ids : targets) {
      if (request.eos) ids.push_back(static_cast<TokenId>(config.eos_token_id.at(0)));
      if (ids.empty())
        throw Error("target: expected a text, found an empty one; eos alone can be scored with --eos");
      check_ids(ids, config.decoder.vocab_size, "target");
    }
    return targets;
  }

  std::vector<std::vector<TokenScore>> read(const Matrix& H, const std::vector<TokenId>& begin,
                                            const std::vector<std::vector<TokenId>>& targets) {
    const double before = cli::seconds();
    const Decoder& decoder = loaded_.model().decoder;
    cli::ProgressBar bar("scoring", !flags_.quiet);
    const TargetStart start = start_target(decoder, H, begin, bar.watch());
    std::vector<std::vector<TokenScore>> scores;
    for (const std::vector<TokenId>& ids : targets) {
      scores.push_back(score(decoder, start, ids, 0, bar.watch()));
      loaded_.timings().read.tokens += ids.size();
    }
    loaded_.timings().read.tokens += begin.size();
    loaded_.timings().read.seconds += cli::seconds() - before;
    return scores;
  }

  const cli::LoadFlags& flags_;
  cli::LoadedModel loaded_;
};

// ---- JSON lines ----

/// The request of a line, over what flags say. Throws Error naming the key.
Request read_request(const JsonField& line, Request request, bool& several) {
  cli::read_input(line, request.input);
  const JsonField target = line["target"], targets = line["targets"], ids = line["target_ids"];
  if (const int given = target.given() + targets.given() + ids.given(); given != 1)
    target.refuse("one of target, targets and target_ids", given > 1 ? "several" : "none");
  if (target.given()) request.targets = {target.text()};
  if (ids.given()) request.target_ids = {*cli::ids_text(ids)};
  several = targets.given();
  if (several) {
    for (const JsonField& text : targets.items()) request.targets.push_back(text.text());
    if (request.targets.empty()) targets.refuse("one text or more");
  }
  if (line["eos"].given()) request.eos = line["eos"].boolean();
  return request;
}

/// Returns the message at the end; empty when no line failed.
std::string score_lines(Scorer& scorer, const Flags& f) {
  cli::LineAnswers lines({{"prompt", "images", "input_ids", "raw_prompt", "decoder_prompt",
                           "decoder_input_ids", "eos", "target", "targets", "target_ids"},
                          {"tokens", "sum", "mean", "perplexity", "scores", "error"}});
  const auto answer = [&](const JsonField& object, AnswerLine& written) {
    bool several = false;
    const Request request = read_request(object, f.request, several);
    AnswerLine scores = AnswerLine::array();
    for (const std::vector<TokenScore>& tokens : scorer.scores_of(request))
      scores.push_back(cli::target_json(tokens, scorer.tokenizer()));
    if (several)
      written["scores"] = scores;
    else
      written.update(scores[0]);
  };
  cli::read_json_lines(
      f.file.value_or("-"), f.load.quiet,
      [&](const std::string& line, const std::string& where) { lines.write(line, where, answer); });
  return lines.finish("scores", f.load.quiet);
}

void check_flags(const Flags& f) {
  const bool targets = !f.request.targets.empty() || !f.request.target_ids.empty();
  cli::check_prompt(f.request.input);
  if (f.jsonl && (targets || !f.request.input.empty()))
    throw cli::UsageError(
        "--jsonl: sources and targets come line by line, from stdin or -f FILE, not from flags");
  if (!f.jsonl && f.file) throw cli::UsageError("-f: expected --jsonl, too, whose requests the file holds");
  if (!f.jsonl && !targets) throw cli::UsageError("expected --target TEXT, found none");
}

int run(const Flags& f) {
  check_flags(f);
  omp_set_num_threads(f.threads);
  Scorer scorer(f.load);
  std::string trouble;
  if (f.jsonl)
    trouble = score_lines(scorer, f);
  else
    for (const std::vector<TokenScore>& tokens : scorer.scores_of(f.request))
      cli::print_text(cli::to_text(cli::target_json(tokens, scorer.tokenizer())) + '\n');
  scorer.print_timings();
  if (!trouble.empty()) throw Error(trouble);
  return cli::ok;
}

}  // namespace score_program

int programs::score(int argc, char** argv) {
  using namespace score_program;
  cli::App app("t5gemma2-score", "[FLAGS] [PROMPT] --target TEXT", about);
  Flags flags;
  add_flags(app, flags);
  return app.run(argc, argv, [&] { return run(flags); });
}
