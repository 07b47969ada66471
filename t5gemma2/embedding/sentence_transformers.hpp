// A folder of sentence-transformers -> how its texts are embedded:
//
//   modules.json                         what runs: Transformer, Pooling, then any of Dense and Normalize
//   sentence_bert_config.json            max_seq_length, or else model_max_length of tokenizer_config.json
//   1_Pooling/config.json                pooling_mode, include_prompt
//   2_Dense/config.json                  in_features, out_features, bias, activation_function
//   2_Dense/model.safetensors            linear.weight, linear.bias
//   config_sentence_transformers.json    prompts, default_prompt_name
//
// What it can say and this engine cannot do is refused by name.
//
// Reference: sentence-transformers base/model.py BaseModel, base/modules/transformer.py Transformer,
// sentence_transformer/modules/pooling.py Pooling, base/modules/dense.py Dense
#pragma once
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../checkpoint/text_config_json.hpp"
#include "../embed.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "../io/readable.hpp"
#include "../tokenizer/tokenizer.hpp"
#include "sentence_modules.hpp"

namespace t5gemma2 {

/// What the files say. Without a modules.json all is as it is set here.
struct SentenceTransformer {
  std::filesystem::path model;  // the folder of the encoder and its tokenizer
  EmbedOptions options;
  bool include_prompt = true;           // whether a prompt's tokens are pooled, too
  std::optional<Index> max_seq_length;  // tokens; a longer text is cut
  Index hidden_size = 0;                // of the encoder; 0 where its config.json does not say
  std::map<std::string, std::string> prompts;
  std::optional<std::string> default_prompt_name;

  /// The text in front of each text: the prompt of that name, or else the default one; "" for none. Throws Error for a
  /// name that is not there.
  std::string prompt(const std::optional<std::string>& name) const {
    const std::optional<std::string>& wanted = name ? name : default_prompt_name;
    if (!wanted) return "";
    const auto found = prompts.find(*wanted);
    if (found != prompts.end()) return found->second;
    std::string known;
    auto one = prompts.begin();
    for (; one != prompts.end() && known.size() < 200; ++one)
      known += (known.empty() ? "" : ", ") + readable(one->first);
    fail("texts", "prompt_name",
         known.empty() ? "none: the model's folder names no prompts"
                       : "one of " + known + (one != prompts.end() ? ", ..." : ""),
         in_quotes(*wanted));
  }
};

namespace sentence_detail {

inline void read_pooling(const std::filesystem::path& module, SentenceTransformer& to) {
  const ConfigFile file = open_config(module);
  const JsonField include = file.root()["include_prompt"];
  to.options.pooling = read_pooling_mode(file.root());
  to.include_prompt = !include.given() || include.boolean();
}

/// How texts and images reach the model: through its forward, as its last hidden state, and not as a chat.
inline void check_modalities(const JsonField& modalities) {
  if (!modalities.given()) return;
  for (const std::string& name : modalities.keys()) {
    const JsonField modality = modalities[name];
    if (name.find("message") != name.npos) modality.refuse("none: chats are not done here", "one");
    expect(modality["method"], "forward");
    expect(modality["method_output_name"], "last_hidden_state");
  }
}

/// Throws Error for a field of sentence_bert_config.json that asks for what is not done here.
inline void check_transformer(const JsonField& config) {
  const std::set<std::string> empty = {"processing_kwargs", "processor_kwargs", "tokenizer_args",
                                       "model_args",        "model_kwargs",     "config_args",
                                       "config_kwargs"};
  for (const std::string& key : config.keys()) {
    const JsonField field = config[key];
    if (key == "max_seq_length") continue;
    if (key == "do_lower_case" || key == "unpad_inputs")
      expect(field, false);
    else if (key == "transformer_task")
      expect(field, "feature-extraction");
    else if (key == "module_output_name")
      expect(field, "token_embeddings");
    else if (key == "modality_config")
      check_modalities(field);
    else if (field.given() && !(empty.contains(key) && field.is(nlohmann::json::object())))
      field.refuse("none: it is not followed here");
  }
}

/// What decides how texts become ids.
inline void read_transformer(const std::filesystem::path& model, SentenceTransformer& to) {
  const ConfigFile file = open_optional(model / "sentence_bert_config.json"),
                   tokenizer = open_optional(model / "tokenizer_config.json"),
                   sizes = open_optional(model / "config.json");
  check_transformer(file.root());
  expect(tokenizer.root()["truncation_side"], "right");
  to.model = model;
  const JsonField root = sizes.root();
  for (const JsonField& width : {root["hidden_size"], root["text_config"]["hidden_size"],
                                 root["encoder"]["text_config"]["hidden_size"]})
    if (width.given()) to.hidden_size = width.integer(1, config_detail::most_features);
  constexpr double least = 3, most = config_detail::longest_context;  // bos, eos, and something between them
  const auto shorten = [&](const JsonField& length) {
    if (!length.given() || length.number(least, 1e300) > most) return;
    const auto tokens = static_cast<Index>(length.number(least, most));
    to.max_seq_length = std::min(to.max_seq_length.value_or(tokens), tokens);
  };
  if (const JsonField own = file.root()["max_seq_length"]; own.given()) return shorten(own);
  shorten(tokenizer.root()["model_max_length"]);
  shorten(sizes.root()["max_position_embeddings"]);
}

inline void read_prompts(const std::filesystem::path& folder, SentenceTransformer& to) {
  const ConfigFile file = open_optional(folder / "config_sentence_transformers.json");
  const JsonField root = file.root(), prompts = root["prompts"], chosen = root["default_prompt_name"];
  expect(root["model_type"], "SentenceTransformer");
  if (prompts.given())
    for (const std::string& name : prompts.keys())
      if (prompts[name].given()) to.prompts[name] = prompts[name].text();
  if (!chosen.given()) return;
  if (!to.prompts.contains(chosen.text())) chosen.refuse("a name of prompts");
  to.default_prompt_name = chosen.text();
}

/// The width of what the steps so far give.
inline Index width_so_far(const SentenceTransformer& to) {
  Index width = to.hidden_size;
  for (const auto& step : to.options.steps)
    if (const auto* dense = std::get_if<Dense>(&step)) width = dense->weight.rows;
  return width;
}

/// The class that a row of modules.json names, without its package.
inline std::string class_of(const JsonField& row) {
  const JsonField type = row["type"];
  const std::string& whole = type.text();
  if (!whole.starts_with("sentence_transformers.")) type.refuse("a module of sentence-transformers");
  return whole.substr(whole.rfind('.') + 1);
}

/// Adds the module of a row of modules.json, the first of which is the transformer.
inline void read_module(const std::filesystem::path& folder, const JsonField& row, bool first,
                        SentenceTransformer& to, bool& pooled) {
  const std::string name = class_of(row);
  if (row["path"].text().find('\0') != std::string::npos) row["path"].refuse("a folder's name");
  const std::filesystem::path module = folder / row["path"].text();
  if (first != (name == "Transformer")) row["type"].refuse("Transformer first, and no other");
  if (first) return read_transformer(module, to);
  if (pooled == (name == "Pooling")) row["type"].refuse("Pooling behind Transformer, and no other");
  if (name == "Pooling") {
    pooled = true;
    return read_pooling(module, to);
  }
  if (name == "Dense") {
    to.options.steps.emplace_back(read_dense(module, width_so_far(to)));
  } else if (name == "Normalize") {
    const ConfigFile file = open_optional(module / "config.json");
    expect_in_place(file.root());
    to.options.steps.emplace_back(Normalize{});
  } else {
    row["type"].refuse("Dense or Normalize behind Pooling");
  }
}

}  // namespace sentence_detail

/// Reads a model's folder, with or without a modules.json. Throws Error naming the file and the field that is wrong or
/// asks for what is not done here.
inline SentenceTransformer load_sentence_transformer(const std::filesystem::path& folder) {
  SentenceTransformer to;
  to.model = folder;
  const std::filesystem::path file = folder / "modules.json";
  if (!is_there(file)) return to;
  const nlohmann::json json = parse_json(read_text(file, "a JSON file"), file.string());
  const std::vector<JsonField> rows = JsonField(json, file.string()).items();
  bool pooled = false;
  std::set<std::string> names;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (const JsonField name = rows[i]["name"]; name.given() && !names.insert(name.text()).second)
      name.refuse("a name of its own for each module");
    sentence_detail::read_module(folder, rows[i], i == 0, to, pooled);
  }
  if (!pooled)
    JsonField(json, file.string())
        .refuse("a Transformer and a Pooling", std::to_string(rows.size()) + " modules");
  sentence_detail::read_prompts(folder, to);
  return to;
}

/// The ids of a text cut to max_seq_length, eos at its end where the tokenizer puts it.
inline std::vector<TokenId> cut_to(std::optional<Index> max_seq_length, const Tokenizer& tokenizer,
                                   std::vector<TokenId> ids) {
  if (!max_seq_length || std::ssize(ids) <= *max_seq_length) return ids;
  ids.resize(static_cast<std::size_t>(*max_seq_length));
  if (tokenizer.eos_id()) ids.back() = *tokenizer.eos_id();
  return ids;
}

/// What is embedded for `text` with a prompt in front of it. Where the prompt's tokens are not pooled and the text has
/// none of its own, merged as it is into the prompt's last one, the last token is pooled (sentence-transformers:
/// none, which makes zeros, or the first). Throws Error where the prompt leaves no room for a text, and where Tokenizer::encode does.
inline EmbedInput embed_input(const SentenceTransformer& how, const Tokenizer& tokenizer,
                              const std::string& prompt, const std::string& text) {
  EmbedInput input{.ids = cut_to(how.max_seq_length, tokenizer, tokenizer.encode(prompt + text)),
                   .features = {}};
  if (prompt.empty()) return input;
  const std::vector<TokenId> front = tokenizer.encode(prompt);
  const Index length = std::ssize(front) - (tokenizer.is_special(front.back()) ? 1 : 0);
  if (how.max_seq_length && length >= *how.max_seq_length)
    fail("prompt", "tokens", "fewer than max_seq_length " + std::to_string(*how.max_seq_length),
         std::to_string(length));
  if (!how.include_prompt) input.unpooled = std::min(length, std::ssize(input.ids) - 1);
  return input;
}

}  // namespace t5gemma2
