// A loaded model that answers requests one after the other, with notes, bars and timings on stderr.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "generation_options.hpp"
#include "input_flags.hpp"
#include "interrupted.hpp"
#include "loaded_model.hpp"
#include "progress_bar.hpp"
#include "request.hpp"
#include "request_gaps.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/score.hpp"
#include "terminal.hpp"
#include "timings.hpp"

namespace cli {

struct SessionFlags {
  LoadFlags load;
  bool special = false;
};

class Session {
 public:
  /// `flags` must outlive the session. Throws Error where the model cannot be loaded, or not do `settings`.
  Session(const SessionFlags& flags, const GenerationSettings& settings)
      : flags_(flags), loaded_(flags.load) {
    const GenerateOptions options = options_for(settings, model_.generation_config);
    check(options, model_.config.decoder.vocab_size);
    loaded_.print_notes();
    note_sampling(settings, options.sample);
  }

  /// on_text gets the text as it is made, but none where gaps are filled: they are not made in the order of
  /// the prompt. Throws Interrupted when Ctrl-C comes before the first token.
  Answer answer(const Request& request, const OnText& on_text) {
    const std::optional<Gaps> gaps = gaps_of(request.input, request.settings, tokenizer());
    const Input input = gaps ? input_with_sentinels(request.input, *tokenizer(), *gaps) : request.input;
    const std::vector<TokenId> prompt = decoder_ids(input, model_, tokenizer());
    if (gaps) check_answer_start(prompt, *tokenizer(), *gaps);
    const Source source = loaded_.source_of(input);
    GenerateOptions options = options_for(request.settings, model_.generation_config);
    options.show_special = flags_.special;
    if (gaps) stop_behind_gaps(*tokenizer(), *gaps, options);
    options.encoder_input_ids = source.ids;
    check(options, model_.config.decoder.vocab_size);
    const Index n = std::ssize(source.ids), m = std::ssize(prompt);
    loaded_.note_lengths(n, m, "decoder prompt");
    check_memory(model_.config, n, likely_length(model_, options.config, m), available_memory(),
                 options.config.num_beams);
    const Matrix H = loaded_.encode_source(source, length_limits(options.config, m).most > m);
    Answer answer{.texts = decode_with_progress(H, prompt, options, gaps ? OnText() : on_text),
                  .filled = {},
                  .logprobs = {},
                  .seed = {}};
    if (gaps) answer.filled = read_all_filled(answer.texts, *tokenizer(), options, *gaps);
    if (options.sample) answer.seed = options.seed;
    if (const auto most = request.settings.logprobs)
      answer.logprobs = logprobs_unless_stopped(answer.texts, H, prompt.size(), *most);
    return answer;
  }

  /// Null where the model has none: it then takes and makes ids only.
  const Tokenizer* tokenizer() const { return loaded_.tokenizer(); }

  /// Throws Error where the image cannot be used.
  void check_image(const std::string& file) { loaded_.read_images({file}); }

  void print_timings() const { loaded_.print_timings(); }

 private:
  void note_sampling(const GenerationSettings& settings, bool sample) const {
    if (asks_to_sample(settings) && !sample && !settings.temp)
      note("generation_config.json says temperature 0: greedy without --temp above 0", flags_.load.quiet);
    if (model_.generation_config.do_sample && !sample)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag",
           flags_.load.quiet);
  }

  /// The scores of the new ids of each text; none where Ctrl-C comes before they are there.
  std::vector<std::vector<TokenScore>> logprobs_unless_stopped(const std::vector<Generated>& texts,
                                                               const Matrix& H, std::size_t given,
                                                               Index most) const {
    try {
      throw_if_interrupted();
      return logprobs_of(texts, H, given, most);
    } catch (const Interrupted&) {
      return {};
    }
  }

  /// The scores of the new ids of each text, with the `most` likeliest in the place of each: read once more, all at once.
  std::vector<std::vector<TokenScore>> logprobs_of(const std::vector<Generated>& texts, const Matrix& H,
                                                   std::size_t given, Index most) const {
    std::vector<std::vector<TokenScore>> logprobs;
    ProgressBar bar("scoring", !flags_.load.quiet);
    const std::span prompt = std::span(texts.at(0).ids).first(given);
    const TargetStart start = start_target(model_.decoder, H, prompt, interruptible(bar));
    for (const Generated& made : texts)
      logprobs.push_back(
          score(model_.decoder, start, std::span(made.ids).subspan(given), most, interruptible(bar)));
    return logprobs;
  }

  /// Reads H and the decoder prompt, then writes. The first new token counts as reading, unless there are
  /// several texts, which count as writing as a whole. Without on_text a bar shows the progress of writing.
  std::vector<Generated> decode_with_progress(const Matrix& H, const std::vector<TokenId>& prompt,
                                              const GenerateOptions& options, const OnText& on_text) {
    const double start = seconds();
    double first = 0;
    const bool single = options.config.num_beams == 1 && options.config.num_return_sequences == 1;
    ProgressBar bar(single && on_text ? "reading" : "writing", !flags_.load.quiet);
    Index calls = 0;
    const auto cleared = [&](std::string_view text) {
      if (first == 0) first = seconds();
      if (on_text) {
        bar.clear();
        return on_text(text);
      }
      bar.update(++calls, 0);
      return stop_requested == 0;
    };
    std::vector<Generated> made =
        generate_several(model_, tokenizer(), H, prompt, options, cleared, interruptible(bar));
    std::size_t written = 0;
    for (const Generated& one : made) written += one.ids.size() - prompt.size();
    if (written == 0) return made;  // nothing was read either
    if (single) {
      loaded_.timings().read.tokens += prompt.size();
      loaded_.timings().read.seconds += first - start;
    }
    loaded_.timings().decode.tokens += written - (single ? 1 : 0);
    loaded_.timings().decode.seconds += seconds() - (single ? first : start);
    return made;
  }

  const SessionFlags& flags_;
  LoadedModel loaded_;
  const Model& model_ = loaded_.model();
};

}  // namespace cli
