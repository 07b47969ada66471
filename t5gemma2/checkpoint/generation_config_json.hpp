// generation_config.json -> GenerationConfig. A folder without the file takes the fields from config.json,
// the top level before the decoder, as transformers does. A file that names no id to start from, which
// transformers refuses, takes bos and eos from config.json; a file that names one but no eos has no eos, and
// a note says so. Reference: transformers GenerationConfig.from_pretrained, from_model_config.
#pragma once
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../config.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "generation_config.hpp"

namespace t5gemma2 {

namespace generation_config_detail {

using Names = std::set<std::string, std::less<>>;

/// A field is looked up in the file, then in `other`. `asked` gets the names of all that were.
struct Fields {
  JsonField file, other;
  Names& asked;
  JsonField operator[](std::string_view key) const {
    asked.emplace(key);
    return file[key].given() ? file[key] : other[key];
  }
};

constexpr Index most = std::numeric_limits<TokenId>::max();

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

/// One id, alone or in a list.
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

/// A list of [ids, bias]; of equal ids the last counts.
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

inline void read_search(const Fields& f, GenerationConfig& c) {
  c.max_length = read_count(f["max_length"], 1);
  c.max_new_tokens = read_count(f["max_new_tokens"], 1);
  c.min_new_tokens = read_count(f["min_new_tokens"], 0);
  read(f["min_length"], c.min_length, 0);
  c.stop_strings = read_texts(f["stop_strings"]);
  read(f["do_sample"], c.do_sample);
  read(f["temperature"], c.temperature, 0, 1e6);
  read(f["top_k"], c.top_k, 0);
  read(f["top_p"], c.top_p, 0, 1);
  read(f["min_p"], c.min_p, 0, 1);
  read(f["typical_p"], c.typical_p, 1e-9, 1);
  read(f["num_beams"], c.num_beams, 1, most_texts);
  read(f["num_return_sequences"], c.num_return_sequences, 1, most_texts);
  read(f["length_penalty"], c.length_penalty, -1e3, 1e3);
  c.early_stopping = read_early_stopping(f["early_stopping"]);
}

inline void read_rules(const Fields& f, GenerationConfig& c) {
  c.decoder_start_token_id = read_start(f["decoder_start_token_id"]);
  c.bos_token_id = read_start(f["bos_token_id"]);
  c.eos_token_id = read_ids(f["eos_token_id"]);
  c.forced_bos_token_id = read_start(f["forced_bos_token_id"]);
  c.forced_eos_token_id = read_ids(f["forced_eos_token_id"]);
  c.sequence_bias = read_biases(f["sequence_bias"]);
  read(f["repetition_penalty"], c.repetition_penalty, 1e-6, 1e6);
  read(f["encoder_repetition_penalty"], c.encoder_repetition_penalty, 1e-6, 1e6);
  read(f["no_repeat_ngram_size"], c.no_repeat_ngram_size, 0);
  read(f["encoder_no_repeat_ngram_size"], c.encoder_no_repeat_ngram_size, 0);
  c.bad_words_ids = read_words(f["bad_words_ids"]);
  c.suppress_tokens = read_ids(f["suppress_tokens"]);
  c.begin_suppress_tokens = read_ids(f["begin_suppress_tokens"]);
  c.exponential_decay_length_penalty = read_decay(f["exponential_decay_length_penalty"]);
  read(f["renormalize_logits"], c.renormalize_logits);
}

inline GenerationConfig read_all(const Fields& fields) {
  GenerationConfig c;
  read_search(fields, c);
  read_rules(fields, c);
  return c;
}

/// Fields that change no token of one text.
inline const Names& harmless_fields() {
  static const Names fields{
      // What is written beside the text, and how it is computed.
      "pad_token_id", "transformers_version", "use_cache", "cache_implementation", "cache_config",
      "max_cache_len", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
      "return_dict_in_generate", "_from_model_config", "_commit_hash", "low_memory", "compile_config",
      "disable_compile", "prefill_chunk_size",
      // A second model or a lookup that guesses ahead.
      "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule",
      "assistant_confidence_threshold", "prompt_lookup_num_tokens", "max_matching_ngram_size",
      "assistant_early_exit", "assistant_lookbehind", "target_lookbehind"};
  return fields;
}

/// Whether the field asks for nothing: null, false, 0, nothing in it, or one of what one is the usual number
/// of.
inline bool is_neutral(const std::string& key, const JsonField& field) {
  if (!field.given() || field.is(false) || field.is(0)) return true;
  if (field.is(nlohmann::json::array()) || field.is(nlohmann::json::object())) return true;
  return field.is(1) && (key == "num_beam_groups" || key == "guidance_scale");
}

/// Names what the file asks for and nobody here does: fields that are not `read`.
inline void note_the_rest(const JsonField& file, const std::string& name, const Names& read,
                          GenerationConfig& c) {
  std::string fields;
  for (const std::string& key : file.keys())
    if (!read.contains(key) && !harmless_fields().contains(key) && !is_neutral(key, file[key]))
      fields += (fields.empty() ? "" : ", ") + readable(key);
  if (!fields.empty()) c.notes.push_back(name + ": without effect here: " + fields);
}

}  // namespace generation_config_detail

/// The GenerationConfig in the text of a generation_config.json; `model` is config.json's. Throws Error
/// naming `where` and the field that is wrong.
inline GenerationConfig parse_generation_config(std::string_view text, const std::string& where,
                                                const Config& model) {
  const nlohmann::json json = parse_json(text, where);
  const JsonField file(json, where);
  generation_config_detail::Names read;
  GenerationConfig c = generation_config_detail::read_all({file, JsonField::missing(), read});
  c.source = where;
  generation_config_detail::note_the_rest(file, where, read, c);
  const bool starts = c.decoder_start_token_id || c.bos_token_id;
  if (!starts) c.bos_token_id = static_cast<TokenId>(model.bos_token_id);
  if (c.eos_token_id.empty() && !starts)
    c.eos_token_id.assign(model.eos_token_id.begin(), model.eos_token_id.end());
  if (c.eos_token_id.empty())
    c.notes.push_back(where + ": eos_token_id: none, so texts end at the limit only");
  return c;
}

/// generation_config.json of a model folder, or else what its config.json, `model`, says. Throws Error when
/// anything in it is wrong.
inline GenerationConfig load_generation_config(const std::filesystem::path& folder, const Config& model) {
  const std::filesystem::path file = folder / "generation_config.json", other = folder / "config.json";
  if (is_there(file)) return parse_generation_config(read_text(file, "a JSON file"), file.string(), model);
  const nlohmann::json json = parse_json(read_text(other, "the model's config.json"), other.string());
  const JsonField root(json, other.string());
  generation_config_detail::Names read;
  GenerationConfig c = generation_config_detail::read_all({root, root["decoder"], read});
  c.source = other.string();
  c.bos_token_id = static_cast<TokenId>(model.bos_token_id);
  c.eos_token_id.assign(model.eos_token_id.begin(), model.eos_token_id.end());
  return c;
}

}  // namespace t5gemma2
