// Generation, token by token (with several beams, beam_search.hpp):
//
//   ids = decoder prompt
//   repeat until eos, a stop text, or the limit:
//     logits = decode(the ids not decoded yet)
//     ids   += choose(process(logits))
//
// Reference: transformers generation/utils.py GenerationMixin.generate
#pragma once
#include <functional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "generation/beam_search.hpp"
#include "generation/decoder_prompt.hpp"
#include "generation/shown_text.hpp"
#include "model.hpp"
#include "progress.hpp"

namespace t5gemma2 {

/// Why a text ended: an eos id, a stop text, the limit, or a callback that returned false.
enum class FinishReason { eos, stop, length, interrupted };

/// Called with each new id; returns false to end the generation.
using OnToken = std::function<bool(TokenId)>;

/// Appends new ids to `ids` (the decoder prompt, at least one id) up to and including an eos id; `state` is
/// the one before the first token. Throws Error for an id outside the vocabulary, for logits that are not
/// finite, and where the options do not go together; std::invalid_argument where w is incomplete or an
/// argument is out of range.
inline FinishReason generate_ids(const Decoder& w, DecoderState state, std::vector<TokenId>& ids,
                                 const GenerateOptions& options, std::mt19937_64& random,
                                 const OnToken& on_token, const Progress& progress = {}) {
  check(w);
  check_ids(ids, w.config.vocab_size);
  check_argument(static_cast<bool>(on_token), "on_token", "a function", "none");
  check_argument(state.position == 0, "position of the state", "0, the beginning of ids", state.position);
  const LogitsProcessors process(options, std::ssize(ids), w.config.vocab_size);
  const Index most = length_limits(options.config, std::ssize(ids)).most;
  while (std::ssize(ids) < most) {
    const std::span<const TokenId> unseen = std::span(ids).subspan(static_cast<std::size_t>(state.position));
    Vector scores = decode(w, state, unseen, progress);
    process(scores, ids);
    ids.push_back(options.sample ? draw_token(scores, options.config, random) : most_likely(scores));
    if (!on_token(ids.back())) return FinishReason::interrupted;
    if (is_eos(options, ids.back())) return FinishReason::eos;
  }
  return FinishReason::length;
}

/// A generated text.
struct Generated {
  std::vector<TokenId> ids;  // the decoder prompt's, then new ones
  std::string text;          // of the new ids
  FinishReason reason = FinishReason::length;
};

/// Called with each piece of the text, whole UTF-8 characters; returns false to end the generation.
using OnText = std::function<bool(std::string_view)>;

namespace generate_detail {

/// One text, passed to on_text while it is generated. `shown` is a ShownText or ShownIds.
template <class Shown>
Generated stream_text(const Model& model, Shown shown, const DecoderState& start, std::vector<TokenId> prompt,
                      const GenerateOptions& options, std::mt19937_64& random, const OnText& on_text,
                      const Progress& progress) {
  Generated made{.ids = std::move(prompt), .text = {}, .reason = {}};
  const auto emit = [&](const std::string& text) {
    made.text += text;
    return on_text(text);
  };
  const auto on_token = [&](TokenId id) {
    const bool more = emit(shown.push(id));
    return more && !shown.stopped();
  };
  made.reason = generate_ids(model.decoder, start, made.ids, options, random, on_token, progress);
  if (const std::string rest = shown.finish(); !rest.empty()) emit(rest);
  if (shown.stopped()) made.reason = FinishReason::stop;
  return made;
}

/// A finished text of these ids, of which the first `prompt` are the decoder prompt's.
template <class Shown>
Generated finished_text(Shown shown, std::span<const TokenId> ids, std::size_t prompt,
                        const GenerateOptions& options) {
  Generated made{.ids = {ids.begin(), ids.end()}, .text = {}, .reason = FinishReason::length};
  for (const TokenId id : ids.subspan(prompt)) made.text += shown.push(id);
  made.text += shown.finish();
  if (ids.size() > prompt && is_eos(options, ids.back())) made.reason = FinishReason::eos;
  if (shown.stopped()) made.reason = FinishReason::stop;
  return made;
}

/// The texts that beam search finds, best first.
template <class Shown>
std::vector<Generated> search_texts(const Model& model, const Shown& shown, const Matrix& H,
                                    const std::vector<TokenId>& prompt, const GenerateOptions& options,
                                    const Progress& progress) {
  const auto text_of = [&](std::span<const TokenId> ids) {
    return finished_text(shown, ids, prompt.size(), options);
  };
  const bool stops = !options.config.stop_strings.empty();
  const auto has_ended = [&](std::span<const TokenId> ids) {
    return is_eos(options, ids.back()) || (stops && text_of(ids).reason == FinishReason::stop);
  };
  std::vector<Generated> texts;
  for (const Beam& beam : beam_search(model.decoder, H, prompt, options, has_ended, progress))
    texts.push_back(text_of(beam.ids));
  return texts;
}

/// Throws std::invalid_argument where a rule needs encoder_input_ids that do not belong to H.
inline void check_encoder_ids(const GenerateOptions& options, const Matrix& H) {
  const GenerationConfig& c = options.config;
  const bool needed = c.encoder_repetition_penalty != 1 || c.encoder_no_repeat_ngram_size > 0;
  if (needed && std::ssize(options.encoder_input_ids) != H.rows())
    throw std::invalid_argument(
        "generate: expected encoder_input_ids, one for each row of H: the encoder_... rules of "
        "generation_config.json need them");
}

/// generate_several, for both kinds of `shown`.
template <class Shown>
std::vector<Generated> generate_shown(const Model& model, const Shown& shown, const Matrix& H,
                                      const std::vector<TokenId>& prompt, const GenerateOptions& options,
                                      const OnText& on_text, const Progress& progress) {
  check(model.decoder);
  check(options, model.decoder.config.vocab_size);
  check_encoder_ids(options, H);
  check_argument(static_cast<bool>(on_text), "on_text", "a function", "none");
  const GenerationConfig& c = options.config;
  std::vector<Generated> texts;
  if (c.num_beams > 1) {
    texts = search_texts(model, shown, H, prompt, options, progress);
  } else {
    std::mt19937_64 random(options.seed);
    const DecoderState start = start_decoder(model.decoder, H, progress);
    Index written = 0;
    const OnText count = [&](std::string_view) {
      if (progress) progress(++written, 0);
      return true;
    };
    for (Index i = 0; i < c.num_return_sequences; ++i)
      texts.push_back(stream_text(model, shown, start, prompt, options, random,
                                  c.num_return_sequences == 1 ? on_text : count, progress));
  }
  if (c.num_beams > 1 || c.num_return_sequences > 1) on_text(texts.at(0).text);
  return texts;
}

}  // namespace generate_detail

/// The number of decoder ids to have memory for, those of the decoder prompt among them: few texts reach a high limit, so no
/// more new ones than max_position_embeddings.
inline Index likely_length(const Model& model, const GenerationConfig& config, Index prompt) {
  const Index most = length_limits(config, prompt).most - prompt;
  return prompt + std::min(most, model.config.decoder.max_position_embeddings);
}

/// num_return_sequences texts that follow the decoder prompt (at least one id), given H [n, d]; best first,
/// or in the order they were drawn. A single text without beams is passed to on_text while it is generated,
/// one call per id; of several, or with beams, on_text gets the first when all are finished. Progress counts
/// the tokens of H that are read, those of a decoder prompt of several, then the new tokens of texts that are
/// not passed to on_text while they are generated. Throws as generate_ids does.
inline std::vector<Generated> generate_several(const Model& model, const Tokenizer& tokenizer,
                                               const Matrix& H, const std::vector<TokenId>& prompt,
                                               const GenerateOptions& options, const OnText& on_text,
                                               const Progress& progress = {}) {
  return generate_detail::generate_shown(model, ShownText(tokenizer, options), H, prompt, options, on_text,
                                         progress);
}

/// The same without a tokenizer: texts are ids, "5,7,9". Throws Error also where the options have stop texts.
inline std::vector<Generated> generate_several(const Model& model, const Matrix& H,
                                               const std::vector<TokenId>& prompt,
                                               const GenerateOptions& options, const OnText& on_text,
                                               const Progress& progress = {}) {
  return generate_detail::generate_shown(model, ShownIds(options), H, prompt, options, on_text, progress);
}

/// Either; `tokenizer` is null where the model has none.
inline std::vector<Generated> generate_several(const Model& model, const Tokenizer* tokenizer,
                                               const Matrix& H, const std::vector<TokenId>& prompt,
                                               const GenerateOptions& options, const OnText& on_text,
                                               const Progress& progress = {}) {
  return tokenizer ? generate_several(model, *tokenizer, H, prompt, options, on_text, progress)
                   : generate_several(model, H, prompt, options, on_text, progress);
}

/// The first of these texts.
inline Generated generate(const Model& model, const Tokenizer& tokenizer, const Matrix& H,
                          const std::vector<TokenId>& prompt, const GenerateOptions& options,
                          const OnText& on_text, const Progress& progress = {}) {
  return generate_several(model, tokenizer, H, prompt, options, on_text, progress).at(0);
}

/// The text that the checkpoint's generation_config.json asks for, without sampling. encoder_input_ids are
/// the ids that H was made of; they are needed where that file sets encoder_... rules.
inline Generated generate(const Model& model, const Tokenizer& tokenizer, const Matrix& H,
                          std::vector<TokenId> encoder_input_ids = {}) {
  GenerateOptions options{.config = model.generation_config,
                          .encoder_input_ids = std::move(encoder_input_ids)};
  options.config.num_return_sequences = 1;
  return generate(model, tokenizer, H, decoder_prompt(model, tokenizer), options,
                  [](std::string_view) { return true; });
}

}  // namespace t5gemma2
