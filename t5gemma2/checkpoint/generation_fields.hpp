// The kinds of values in generation_config.json: ids and lists of them, counts, biases, texts. Each function
// throws Error naming the field where its value is of another kind.
#pragma once
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../io/json_fields.hpp"
#include "generation_config.hpp"

namespace t5gemma2 {

namespace generation_config_detail {

inline constexpr Index most = std::numeric_limits<TokenId>::max();

inline TokenId read_id(const JsonField& field) {
  return static_cast<TokenId>(field.integer(0, most, "a token id"));
}

/// A list of ids, or one alone.
inline std::vector<TokenId> read_ids(const JsonField& field) {
  std::vector<TokenId> ids;
  if (!field.given()) return ids;
  if (!field.is_array()) return {read_id(field)};
  for (const JsonField& id : field.items()) ids.push_back(read_id(id));
  return ids;
}

/// One id, alone or in a list of one.
inline std::optional<TokenId> read_start(const JsonField& field) {
  const std::vector<TokenId> ids = read_ids(field);
  if (ids.size() > 1) field.refuse("one token id");
  return ids.empty() ? std::nullopt : std::optional(ids[0]);
}

inline std::optional<Index> read_count(const JsonField& field, Index least) {
  return field.given() ? std::optional(field.integer(least, most)) : std::nullopt;
}

inline void read(const JsonField& field, double& value, double low, double high) {
  if (field.given()) value = field.number(low, high);
}
inline void read(const JsonField& field, Index& value, Index least, Index largest = most) {
  if (field.given()) value = field.integer(least, largest);
}
inline void read(const JsonField& field, bool& value) {
  if (field.given()) value = field.boolean();
}

/// A list of [ids, bias]; where the same ids occur twice, the last bias counts.
inline std::vector<SequenceBias> read_biases(const JsonField& field) {
  std::vector<SequenceBias> biases;
  std::map<std::vector<TokenId>, std::size_t> places;
  if (!field.given()) return biases;
  if (!field.is_array()) field.refuse("a list of [[token ids], bias]");
  for (const JsonField& pair : field.items()) {
    const std::vector<JsonField> parts = pair.items();
    if (parts.size() != 2 || !parts[0].is_array() || parts[0].items().empty())
      pair.refuse("a list of token ids, then a number");
    SequenceBias bias{read_ids(parts[0]), static_cast<float>(parts[1].number(-1e30, 1e30))};
    const auto [known, is_new] = places.emplace(bias.ids, biases.size());
    if (is_new) {
      biases.push_back(std::move(bias));
    } else {
      biases[known->second].bias = bias.bias;
    }
  }
  return biases;
}

inline std::vector<std::vector<TokenId>> read_words(const JsonField& field) {
  std::vector<std::vector<TokenId>> words;
  if (!field.given()) return words;
  for (const JsonField& word : field.items()) {
    if (!word.is_array()) word.refuse("a list of token ids");
    if (!word.items().empty()) words.push_back(read_ids(word));
  }
  return words;
}

inline std::vector<std::string> read_texts(const JsonField& field) {
  if (!field.given()) return {};
  if (!field.is_array()) return {field.text()};
  std::vector<std::string> texts;
  for (const JsonField& text : field.items()) texts.push_back(text.text());
  return texts;
}

inline EarlyStopping read_early_stopping(const JsonField& field) {
  if (!field.given()) return EarlyStopping::no;
  if (!field.is_text()) return field.boolean() ? EarlyStopping::yes : EarlyStopping::no;
  if (field.text() != "never") field.refuse("true, false or \"never\"");
  return EarlyStopping::never;
}

inline std::optional<LengthDecay> read_decay(const JsonField& field) {
  if (!field.given()) return std::nullopt;
  const std::vector<JsonField> parts = field.items();
  if (parts.size() != 2) field.refuse("a number of tokens and a factor");
  return LengthDecay{parts[0].integer(0, most), parts[1].number(1e-6, 1e6)};
}

}  // namespace generation_config_detail

}  // namespace t5gemma2
