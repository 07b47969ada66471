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
#include <string>
#include <utility>
#include <vector>

#include "../checkpoint/text_config_json.hpp"
#include "../embed.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "../tokenizer/tokenizer.hpp"
#include "sentence_modules.hpp"

namespace t5gemma2 {

/// What the files say. Without a modules.json all is as it is set here.
struct SentenceTransformer {
  std::filesystem::path model;  // the folder of the encoder and its tokenizer
  EmbedOptions options;
  bool include_prompt = true;           // whether a prompt's tokens are pooled, too
  std::optional<Index> max_seq_length;  // tokens; a longer text is cut
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
    for (const auto& [one, text] : prompts) known += (known.empty() ? "" : ", ") + one;
    fail("prompt", "name", known.empty() ? "none: the model's folder names no prompts" : "one of " + known,
         *wanted);
  }
};

namespace sentence_detail {

inline void read_pooling(const std::filesystem::path& module, SentenceTransformer& to) {
  const JsonFile file = open_config(module);
  const JsonField include = file.root()["include_prompt"];
  to.options.pooling = read_pooling_mode(file.root());
  to.include_prompt = !include.given() || include.boolean();
}

/// What decides how texts become ids.
inline void read_transformer(const std::filesystem::path& model, SentenceTransformer& to) {
  const JsonFile file = open_optional(model / "sentence_bert_config.json");
  const JsonField config = file.root(), longest = config["max_seq_length"];
  expect(config["do_lower_case"], false);
  expect(config["query_expansion"], nullptr);
  expect(config["transformer_task"], "feature-extraction");
  to.model = model;
  constexpr Index least = 3;  // bos, eos, and something between them
  if (longest.given()) {
    to.max_seq_length = longest.integer(least, config_detail::longest_context);
    return;
  }
  const JsonFile tokenizer = open_optional(model / "tokenizer_config.json");
  const JsonFile sizes =
      t5gemma2::is_there(model / "config.json") ? open_config(model) : JsonFile{nlohmann::json::object(), ""};
  for (const JsonField& most :
       {tokenizer.root()["model_max_length"], sizes.root()["max_position_embeddings"]})
    if (most.given() && most.number(least, 1e300) < static_cast<double>(config_detail::longest_context))
      to.max_seq_length = std::min(to.max_seq_length.value_or(config_detail::longest_context),
                                   static_cast<Index>(most.number(least, 1e300)));
}

inline void read_prompts(const std::filesystem::path& folder, SentenceTransformer& to) {
  const JsonFile file = open_optional(folder / "config_sentence_transformers.json");
  const JsonField prompts = file.root()["prompts"], chosen = file.root()["default_prompt_name"];
  if (prompts.given())
    for (const std::string& name : prompts.keys())
      if (prompts[name].given()) to.prompts[name] = prompts[name].text();
  if (chosen.given()) to.default_prompt_name = chosen.text();
}

/// Adds the module of a row of modules.json.
inline void read_module(const std::filesystem::path& folder, const JsonField& row, bool first,
                        SentenceTransformer& to, bool& pooled) {
  const JsonField type = row["type"];
  const std::string& whole = type.text();
  const std::string name = whole.substr(whole.rfind('.') + 1);
  const std::filesystem::path module = folder / row["path"].text();
  if (first != (name == "Transformer")) type.refuse("Transformer first, and no other");
  if (first) return read_transformer(module, to);
  if (pooled == (name == "Pooling"))
    type.refuse("Pooling behind Transformer, and no other", in_quotes(whole));
  if (name == "Pooling") {
    pooled = true;
    return read_pooling(module, to);
  }
  if (name == "Dense") {
    to.options.steps.emplace_back(read_dense(module));
  } else if (name == "Normalize") {
    const JsonFile file = open_optional(module / "config.json");
    expect_in_place(file.root());
    to.options.steps.emplace_back(Normalize{});
  } else {
    type.refuse("Dense or Normalize behind Pooling");
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
  for (std::size_t i = 0; i < rows.size(); ++i)
    sentence_detail::read_module(folder, rows[i], i == 0, to, pooled);
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
/// none of its own, merged as it is into the prompt's last one, the last token is pooled (sentence-transformers: none,
/// which makes zeros). Throws Error where the prompt leaves no room for a text, and where Tokenizer::encode does.
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
