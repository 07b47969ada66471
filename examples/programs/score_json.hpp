// Log-probabilities as JSON: of score, and of generate --logprobs.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "copied_keys.hpp"
#include "t5gemma2/score.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"
#include "token_text.hpp"

namespace cli {

/// {"id", "text", "logprob"}; without "text" where there is no tokenizer.
inline AnswerLine to_json(const t5gemma2::LikelyToken& token, const t5gemma2::Tokenizer* tokenizer) {
  AnswerLine json{{"id", token.id}};
  if (tokenizer) json["text"] = token_text(*tokenizer, token.id);
  json["logprob"] = token.logprob;
  return json;
}

/// A list of {"id", "text", "logprob", "rank"}, and "top", the likeliest tokens, where `with_top` asks for it.
inline AnswerLine to_json(std::span<const t5gemma2::TokenScore> tokens, const t5gemma2::Tokenizer* tokenizer,
                          bool with_top = false) {
  AnswerLine list = AnswerLine::array();
  for (const t5gemma2::TokenScore& one : tokens) {
    AnswerLine json = to_json(one.token, tokenizer);
    json["rank"] = one.rank;
    if (with_top) json["top"] = AnswerLine::array();
    for (const t5gemma2::LikelyToken& likely : one.best) json["top"].push_back(to_json(likely, tokenizer));
    list.push_back(std::move(json));
  }
  return list;
}

/// {"tokens", "sum", "mean", "perplexity"} of a target.
inline AnswerLine target_json(std::span<const t5gemma2::TokenScore> tokens,
                              const t5gemma2::Tokenizer* tokenizer) {
  const t5gemma2::TargetScore whole = t5gemma2::score_of(tokens);
  return {{"tokens", to_json(tokens, tokenizer)},
          {"sum", whole.sum},
          {"mean", whole.mean},
          {"perplexity", whole.perplexity}};
}

}  // namespace cli
