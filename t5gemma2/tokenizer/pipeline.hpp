// The pipeline around the model in a tokenizer.json, each part a step or a Sequence of steps:
//
//   normalizer       ' ' becomes '▁'
//   pre_tokenizer    none, or one that splits at ' ', of which none are left
//   post_processor   <bos> in front, and perhaps <eos> behind
//   decoder          '▁' becomes ' ', byte pieces become text, all is joined
//
// Any other pipeline is refused. `truncation` and `padding`, which training leaves in the
// file, are ignored as in transformers, which uses them only when a caller asks for them.
// Reference: tokenizers src/tokenizer/serialization.rs; transformers
// tokenization_utils_tokenizers.py TokenizersBackend.set_truncation_and_padding.
#pragma once
#include <string>
#include <vector>

#include "../io/json_fields.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

namespace pipeline_detail {

/// The steps of a part; none when it is null or missing. `list` is the key of the steps of a Sequence.
inline std::vector<JsonField> steps_of(const JsonField& part, const char* list) {
  if (!part.given()) return {};
  if (part["type"].text() != "Sequence") return {part};
  std::vector<JsonField> steps;
  for (const JsonField& item : part[list].items()) {
    const std::vector<JsonField> inner = steps_of(item, list);
    steps.insert(steps.end(), inner.begin(), inner.end());
  }
  return steps;
}

inline std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all.empty() ? "nothing" : all;
}

/// "Replace, ByteFallback, Fuse"
inline std::string types_of(const std::vector<JsonField>& steps) {
  std::vector<std::string> types;
  for (const JsonField& step : steps) types.push_back(readable(step["type"].text()));
  return joined(types);
}

/// Requires a pattern that matches `text` and nothing else; `text` has no special meaning in a Regex.
inline void expect_pattern(const JsonField& pattern, const std::string& text) {
  for (const char* kind : {"String", "Regex"}) {
    if (!pattern[kind].given()) continue;
    if (pattern[kind].text() != text) pattern[kind].refuse(in_quotes(text));
    return;
  }
  pattern.refuse("String or Regex");
}

inline void expect_replace(const JsonField& step, const std::string& from, const std::string& to) {
  expect_pattern(step["pattern"], from);
  if (step["content"].text() != to) step["content"].refuse(in_quotes(to));
}

inline void check_normalizer(const JsonField& normalizer) {
  const std::vector<JsonField> steps = steps_of(normalizer, "normalizers");
  if (types_of(steps) != "Replace") normalizer.refuse("Replace of ' ' by '▁'", types_of(steps));
  expect_replace(steps[0], " ", "▁");
}

inline void check_pre_tokenizer(const JsonField& pre_tokenizer) {
  for (const JsonField& split : steps_of(pre_tokenizer, "pretokenizers")) {
    if (split["type"].text() != "Split") split["type"].refuse("Split");
    expect_pattern(split["pattern"], " ");
    if (split["invert"].boolean()) split["invert"].refuse("false");
  }
}

inline void check_decoder(const JsonField& decoder) {
  const std::vector<JsonField> steps = steps_of(decoder, "decoders");
  const std::string types = types_of(steps), expected = "Replace, ByteFallback, Fuse";
  if (types != expected && types != "Replace, ByteFallback") decoder.refuse(expected, types);
  expect_replace(steps[0], "▁", " ");
}

/// A part of a template as a message names it: <bos>, the text, ...
inline std::string name_of_part(const JsonField& part) {
  const JsonField token = part["SpecialToken"]["id"], text = part["Sequence"]["id"];
  if (token.given()) return readable(token.text());
  return text.given() && text.text() == "A" ? "the text" : "something else";
}

/// The TemplateProcessing step, which must be a special token, then the text, then perhaps another special token.
inline JsonField template_of(const JsonField& post_processor) {
  const std::vector<JsonField> steps = steps_of(post_processor, "processors");
  const std::string expected = "<bos>, then the text, then <eos> or nothing";
  if (types_of(steps) != "TemplateProcessing")
    post_processor.refuse("TemplateProcessing (" + expected + ")", types_of(steps));
  const std::vector<JsonField> parts = steps[0]["single"].items();
  std::vector<std::string> names;
  for (const JsonField& part : parts) names.push_back(name_of_part(part));
  const bool framed = (parts.size() == 2 || parts.size() == 3) && names[1] == "the text" &&
                      parts.front()["SpecialToken"].given() &&
                      (parts.size() == 2 || parts.back()["SpecialToken"].given());
  if (!framed) steps[0]["single"].refuse(expected, joined(names));
  return steps[0];
}

/// The id of the special token that a part of the template names.
inline TokenId id_of_part(const JsonField& text_template, const JsonField& part,
                          const std::vector<Piece>& pieces) {
  const JsonField name = part["SpecialToken"]["id"];
  const JsonField ids = text_template["special_tokens"][name.text()]["ids"];
  if (ids.items().size() != 1) ids.refuse("one id");
  const Index id = ids.items()[0].integer(0, std::ssize(pieces) - 1);
  const Piece& piece = pieces[static_cast<std::size_t>(id)];
  if (piece.text != name.text() || !piece.special)
    name.refuse("the special token with id " + std::to_string(id));
  return static_cast<TokenId>(id);
}

}  // namespace pipeline_detail

/// Throws Error naming the part of `root`, a tokenizer.json, that is not Gemma's (the post_processor:
/// see frame_of).
inline void check_pipeline(const JsonField& root) {
  pipeline_detail::check_normalizer(root["normalizer"]);
  pipeline_detail::check_pre_tokenizer(root["pre_tokenizer"]);
  pipeline_detail::check_decoder(root["decoder"]);
}

/// The ids that the post_processor puts in front of every text and, where there is one, behind it.
struct Frame {
  TokenId bos;
  std::optional<TokenId> eos;
};

/// Throws Error when the post_processor does anything else.
inline Frame frame_of(const JsonField& post_processor, const std::vector<Piece>& pieces) {
  using namespace pipeline_detail;
  const JsonField text_template = template_of(post_processor);
  const std::vector<JsonField> parts = text_template["single"].items();
  Frame frame{id_of_part(text_template, parts.front(), pieces), {}};
  if (parts.size() == 3) frame.eos = id_of_part(text_template, parts.back(), pieces);
  return frame;
}

}  // namespace t5gemma2
