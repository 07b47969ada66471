// config.json -> Config, in every spelling that transformers reads and in no other. A missing size is an
// error, never replaced by a default; vision_config alone has two defaults (read_vision_config).
//
// Reference: transformers models/t5gemma2/configuration_t5gemma2.py T5Gemma2Config, T5Gemma2EncoderConfig;
// models/siglip/configuration_siglip.py SiglipVisionConfig
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../config.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "dtype.hpp"
#include "folder_contents.hpp"
#include "text_config_json.hpp"

namespace t5gemma2 {

namespace config_detail {

/// encoder.vision_config. Published files leave out num_channels and layer_norm_eps, which are 3 and 1e-6 in
/// every SigLIP.
inline VisionConfig read_vision_config(const JsonField& field) {
  const JsonField channels = field["num_channels"], eps = field["layer_norm_eps"];
  VisionConfig vision;
  vision.hidden_size = field["hidden_size"].integer(1, most_features);
  vision.num_hidden_layers = field["num_hidden_layers"].integer(1, most_layers);
  vision.num_attention_heads = field["num_attention_heads"].integer(1, most_heads);
  vision.intermediate_size = field["intermediate_size"].integer(1, most_features);
  vision.image_size = field["image_size"].integer(1, 1 << 16);
  vision.patch_size = field["patch_size"].integer(1, 1 << 16);
  vision.num_channels = channels.given() ? channels.integer(1, most_channels) : 3;
  vision.layer_norm_eps = eps.given() ? static_cast<float>(eps.number(0, 1)) : 1e-6f;
  require_gelu_tanh(field["hidden_act"]);
  return vision;
}

/// Sizes of the encoder's text and vision half.
inline void read_encoder_section(const JsonField& encoder, Config& config) {
  config.encoder = read_text_config(encoder["text_config"], config.notes);
  if (!encoder["vision_config"].given()) return;
  config.vision = read_vision_config(encoder["vision_config"]);
  config.mm_tokens_per_image = encoder["mm_tokens_per_image"].integer(1, most_ids);
}

inline Index read_id(const JsonField& field, Index vocab_size) {
  return field.integer(0, vocab_size - 1, "a token id");
}

inline std::optional<Index> read_optional_id(const JsonField& field, Index vocab_size) {
  return field.given() ? std::optional(read_id(field, vocab_size)) : std::nullopt;
}

/// Ids of the special tokens: the top level's, or else the decoder's, as in transformers.
inline void read_special_ids(const JsonField& root, Config& config) {
  const Index vocab_size = config.decoder.vocab_size;
  const auto find = [&](std::string_view key) {
    return root[key].given() ? root[key] : root["decoder"][key];
  };
  config.pad_token_id = read_optional_id(find("pad_token_id"), vocab_size);
  config.bos_token_id = read_id(find("bos_token_id"), vocab_size);
  const JsonField eos = find("eos_token_id");
  const std::vector<JsonField> several = eos.is_array() ? eos.items() : std::vector{eos};
  for (const JsonField& id : several) config.eos_token_id.push_back(read_id(id, vocab_size));
  if (several.empty()) eos.refuse("one token id or more");
}

/// Ids of the tokens around and for images, from the top level and the encoder's section. As in transformers, the top
/// level's id comes first for the image token, the encoder's for the end of an image.
inline void read_image_ids(const JsonField& root, const JsonField& encoder, Config& config) {
  const Index vocab_size = config.encoder.vocab_size;
  const auto either = [](const JsonField& parent, std::string_view key, std::string_view alias) {
    return parent[key].written() || !parent[alias].written() ? parent[key] : parent[alias];
  };
  config.boi_token_index = read_optional_id(either(encoder, "boi_token_index", "boi_token_id"), vocab_size);

  const JsonField eoi = either(encoder, "eoi_token_index", "eoi_token_id");
  const JsonField top_eoi = either(root, "eoi_token_index", "eoi_token_id");
  config.eoi_token_index = read_optional_id(eoi.written() ? eoi : top_eoi, vocab_size);
  if (!config.eoi_token_index)
    config.notes.push_back(eoi.path() + ": not given: no token gets the eoi_embedding");

  const JsonField image = either(encoder, "image_token_index", "image_token_id");
  const JsonField top_image = either(root, "image_token_index", "image_token_id");
  config.image_token_index = read_optional_id(top_image.given() ? top_image : image, vocab_size);
}

/// Throws Error unless both sides have the same hidden size and vocabulary.
inline void require_equal_sides(const JsonField& decoder, const Config& config) {
  const TextConfig &own = config.decoder, &other = config.encoder;
  if (own.hidden_size != other.hidden_size)
    decoder["hidden_size"].refuse("the encoder's, " + std::to_string(other.hidden_size));
  if (own.vocab_size != other.vocab_size)
    decoder["vocab_size"].refuse("the encoder's, " + std::to_string(other.vocab_size),
                                 std::to_string(own.vocab_size) +
                                     " (resize_token_embeddings changes the decoder's alone: set "
                                     "encoder.text_config.vocab_size, too)");
}

inline void require_model_type(const JsonField& model_type) {
  const std::string &found = model_type.text(), whole = "t5gemma2";
  if (found == whole) return;
  if (found.starts_with(whole + "_"))
    model_type.refuse('"' + whole + '"',
                      in_quotes(found) + ", a part of a model: save the whole" +
                          (found == whole + "_encoder" ? "; t5gemma2-embed takes it" : ""));
  const std::string advice = found == "gemma3_text" ? "; t5gemma2-embed takes EmbeddingGemma" : "";
  model_type.refuse('"' + whole + '"', in_quotes(found) + advice);
}

}  // namespace config_detail

/// The model's sizes in a config.json. Throws Error naming the file and the field that is wrong.
inline Config read_config(const JsonField& root) {
  using namespace config_detail;
  const JsonField encoder = root["encoder"], decoder = root["decoder"];
  require_model_type(root["model_type"]);

  Config config;
  read_encoder_section(encoder, config);
  config.decoder = read_text_config(decoder, config.notes);
  require_equal_sides(decoder, config);
  // As in transformers, tie_word_embeddings has an effect only at the top level, not in encoder or decoder.
  if (const JsonField tie = root["tie_word_embeddings"]; tie.written())
    config.tie_word_embeddings = tie.boolean();
  read_special_ids(root, config);
  read_image_ids(root, encoder, config);
  return config;
}

/// The same from the text of config.json; `where` is the file for messages.
inline Config parse_config(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  return read_config({json, where});
}

/// The type of the numbers that a config.json says its weights have, in either spelling; none where it does
/// not say. Throws Error for a type that weights cannot have.
inline std::optional<Dtype> stored_dtype(const JsonField& root) {
  const JsonField old = root["torch_dtype"], dtype = root["dtype"].given() ? root["dtype"] : old;
  if (!dtype.given()) return {};
  for (const auto& [name, type] : {std::pair("bfloat16", Dtype::bf16), std::pair("float16", Dtype::f16),
                                   std::pair("float32", Dtype::f32)})
    if (dtype.is(name)) return type;
  dtype.refuse("bfloat16, float16 or float32");
}

/// config.json of a model folder.
struct ConfigFile {
  nlohmann::json json;
  std::string path;

  JsonField root() const { return {json, path}; }
};

/// A file with the content of a config.json, whatever its name. Throws Error when it is not there or not JSON.
inline ConfigFile open_config_file(const std::filesystem::path& file) {
  return {parse_json(read_text(file, "the model's config.json"), file.string()), file.string()};
}

/// Throws Error when the folder has no config.json, or one that is not JSON.
inline ConfigFile open_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  if (const std::string found = is_there(file) ? "" : found_instead(folder); !found.empty())
    fail_file(folder.string(), "a model's folder with config.json", found);
  return open_config_file(file);
}

/// The sizes of the model in a folder. Throws Error when config.json is missing or anything in it is wrong.
inline Config load_config(const std::filesystem::path& folder) {
  return read_config(open_config(folder).root());
}

}  // namespace t5gemma2
