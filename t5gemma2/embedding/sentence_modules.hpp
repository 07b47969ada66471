// The modules of sentence-transformers, from their folders: pooling and dense layers. What they can say and this engine cannot
// do is refused by name.
//
// Reference: sentence-transformers sentence_transformer/modules/pooling.py Pooling, base/modules/dense.py Dense
#pragma once
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../checkpoint/config_json.hpp"
#include "../checkpoint/safetensors.hpp"
#include "../checkpoint/stored_tensor.hpp"
#include "../checkpoint/text_config_json.hpp"
#include "../embed.hpp"
#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"

namespace t5gemma2 {

namespace sentence_detail {

/// A file that may be missing; its fields then are, too.
inline ConfigFile open_optional(const std::filesystem::path& file) {
  if (!is_there(file)) return {nlohmann::json::object(), file.string()};
  return {parse_json(read_text(file, "a JSON file"), file.string()), file.string()};
}

inline ConfigFile open_config(const std::filesystem::path& module) {
  const std::filesystem::path file = module / "config.json";
  return {parse_json(read_text(file, "a module's config.json"), file.string()), file.string()};
}

/// A field that may only have one value here.
inline void expect(const JsonField& field, const nlohmann::json& only) {
  if (field.given() && !field.is(only)) field.refuse(only.dump());
}

inline Pooling read_pooling_mode(const JsonField& config) {
  using namespace std::literals;
  constexpr std::array modes{std::pair("cls"sv, Pooling::cls), std::pair("mean"sv, Pooling::mean),
                             std::pair("lasttoken"sv, Pooling::last)};
  constexpr std::array older{std::pair("pooling_mode_cls_token"sv, "cls"sv),
                             std::pair("pooling_mode_max_tokens"sv, "max"sv),
                             std::pair("pooling_mode_mean_tokens"sv, "mean"sv),
                             std::pair("pooling_mode_mean_sqrt_len_tokens"sv, "mean_sqrt_len_tokens"sv),
                             std::pair("pooling_mode_weightedmean_tokens"sv, "weightedmean"sv),
                             std::pair("pooling_mode_lasttoken"sv, "lasttoken"sv)};
  const JsonField field = config["pooling_mode"];
  std::vector<std::string> wanted;
  if (field.is_array())
    for (const JsonField& mode : field.items()) wanted.push_back(mode.text());
  else if (field.given())
    wanted.push_back(field.text());
  else
    for (const auto& [key, mode] : older)
      if (config[key].given() && config[key].boolean()) wanted.emplace_back(mode);
  if (wanted.empty() && !field.written()) return Pooling::mean;
  if (wanted.size() == 1)
    for (const auto& [name, mode] : modes)
      if (name == wanted[0]) return mode;
  std::string found;
  for (const std::string& mode : wanted) found += (found.empty() ? "" : " and ") + readable(mode);
  field.refuse("one pooling: mean, cls or lasttoken", found.empty() ? "none" : found);
}

inline Activation read_activation(const JsonField& field) {
  if (!field.given()) return Activation::tanh;
  const std::string& name = field.text();
  if (name == "torch.nn.modules.linear.Identity") return Activation::identity;
  if (name == "torch.nn.modules.activation.Tanh") return Activation::tanh;
  if (name == "torch.nn.modules.activation.ReLU") return Activation::relu;
  field.refuse("torch.nn.modules.linear.Identity, torch.nn.modules.activation.Tanh or ReLU");
}

/// Steps read one embedding and write it back.
inline void expect_in_place(const JsonField& config) {
  expect(config["module_input_name"], "sentence_embedding");
  expect(config["module_output_name"], "sentence_embedding");
}

/// A tensor of the module. Throws Error where it is missing.
inline const StoredTensor& tensor_of(const Checkpoint& checkpoint, const std::string& name) {
  const auto found = checkpoint.tensors().find(name);
  if (found == checkpoint.tensors().end()) fail(checkpoint.folder().string(), name, "a tensor", "none");
  return found->second;
}

/// The tensors of a dense layer, and no others.
inline std::shared_ptr<const Checkpoint> open_dense(const std::filesystem::path& module, bool has_bias) {
  if (!is_there(module / "model.safetensors"))
    fail_file(
        module.string(), "model.safetensors",
        is_there(module / "pytorch_model.bin")
            ? "pytorch_model.bin: sentence-transformers writes safetensors when it saves the model again"
            : "none");
  auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(module));
  for (const auto& [name, tensor] : checkpoint->tensors())
    if (name != "linear.weight" && !(has_bias && name == "linear.bias"))
      fail(tensor.file, readable(name),
           has_bias ? "linear.weight and linear.bias alone" : "linear.weight alone", "this tensor, too");
  return checkpoint;
}

/// `width` is that of what it gets; 0: not known.
inline Dense read_dense(const std::filesystem::path& module, Index width) {
  const ConfigFile file = open_config(module);
  const JsonField config = file.root(), bias = config["bias"], inputs = config["in_features"];
  expect_in_place(config);
  expect(config["use_residual"], false);
  const Index in = inputs.integer(1, config_detail::most_features),
              out = config["out_features"].integer(1, config_detail::most_features);
  if (width > 0 && in != width) inputs.refuse(std::to_string(width) + ", as the module before it gives");
  const bool has_bias = !bias.written() || bias.boolean();
  const auto checkpoint = open_dense(module, has_bias);
  Dense dense{
      .weight = as_weight(tensor_of(*checkpoint, "linear.weight"), out, in, "out_features, in_features"),
      .bias = {},
      .activation = read_activation(config["activation_function"])};
  dense.weight.owner = checkpoint;
  if (has_bias) dense.bias = to_vector(tensor_of(*checkpoint, "linear.bias"), out, "out_features");
  return dense;
}

}  // namespace sentence_detail

}  // namespace t5gemma2
