// generation_config.json -> GenerationConfig. Where the file or an id in it is missing:
//
//   no file                         all fields from config.json, the top level before the decoder
//   neither start id nor bos        bos from config.json, and eos where the file has none (transformers
//                                   refuses such a file)
//   a start id or bos, but no eos   no eos: texts end at the limit only, and a note says so
//
// Reference: transformers generation/configuration_utils.py GenerationConfig.from_pretrained,
// GenerationConfig.from_model_config
#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../config.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "config_json.hpp"
#include "generation_config.hpp"
#include "generation_fields.hpp"

namespace t5gemma2 {

namespace generation_config_detail {

using Names = std::set<std::string, std::less<>>;

/// Looks fields up in the file, then in `other`, and adds each name to `asked`.
struct Fields {
  JsonField file, other;
  Names& asked;
  JsonField operator[](std::string_view key) const {
    asked.emplace(key);
    return file[key].given() ? file[key] : other[key];
  }
};

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

/// Fields that change no token.
inline const Names& harmless_fields() {
  static const Names fields{
      // How the text is computed, and what is returned besides.
      "pad_token_id", "transformers_version", "use_cache", "cache_implementation", "cache_config",
      "max_cache_len", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
      "return_dict_in_generate", "_from_model_config", "_commit_hash", "low_memory", "compile_config",
      "disable_compile", "prefill_chunk_size",
      // Speculative decoding.
      "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule",
      "assistant_confidence_threshold", "prompt_lookup_num_tokens", "max_matching_ngram_size",
      "assistant_early_exit", "assistant_lookbehind", "target_lookbehind"};
  return fields;
}

/// Whether the value switches nothing on: null, false, 0, an empty list or object, or 1 if that is
/// the default.
inline bool is_neutral(const std::string& key, const JsonField& field) {
  if (!field.given() || field.is(false) || field.is(0)) return true;
  if (field.is(nlohmann::json::array()) || field.is(nlohmann::json::object())) return true;
  return field.is(1) && (key == "num_beam_groups" || key == "guidance_scale");
}

/// Adds a note with the fields of the file that are neither in `read`, nor harmless, nor neutral.
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
  generation_config_detail::Names asked;
  GenerationConfig c = generation_config_detail::read_all({file, JsonField::missing(), asked});
  c.source = where;
  generation_config_detail::note_the_rest(file, where, asked, c);
  if (!c.decoder_start_token_id && !c.bos_token_id) {
    c.bos_token_id = static_cast<TokenId>(model.bos_token_id);
    if (c.eos_token_id.empty()) c.eos_token_id.assign(model.eos_token_id.begin(), model.eos_token_id.end());
  }
  if (c.eos_token_id.empty())
    c.notes.push_back(where + ": eos_token_id: none, so texts end at the limit only");
  return c;
}

/// generation_config.json of a model folder, or where it has none the same fields of its config.json. `model`
/// is read_config(config_json.root()). Throws Error when anything in the file is wrong.
inline GenerationConfig load_generation_config(const std::filesystem::path& folder,
                                               const ConfigFile& config_json, const Config& model) {
  const std::filesystem::path file = folder / "generation_config.json";
  if (is_there(file)) return parse_generation_config(read_text(file, "a JSON file"), file.string(), model);
  const JsonField root = config_json.root();
  generation_config_detail::Names asked;
  GenerationConfig c = generation_config_detail::read_all({root, root["decoder"], asked});
  c.source = config_json.path;
  return c;
}

}  // namespace t5gemma2
