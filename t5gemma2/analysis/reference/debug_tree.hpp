// The tree of calls that transformers' debugger writes (*_debug_tree_FULL_TENSORS.json, *_debug_tree_SUMMARY.json): for
// each call of a module its inputs, and the outputs of modules without children. A tensor is whole, in a safetensors file
// beside the tree (use_repr=False), or told by its mean, std, min and max.
//
// The debugger writes a tensor's file again at each call of a module, so the file holds the last call's: of the calls
// before only the statistics are known (k_proj of X, where k_proj of H came after it).
//
// The output of a layer is the input of what follows it.
//
// Reference: transformers model_debugging_utils.py
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../../checkpoint/folder_contents.hpp"
#include "../../checkpoint/safetensors.hpp"
#include "../../io/json_fields.hpp"
#include "../../io/json_parser.hpp"
#include "../../io/mapped_file.hpp"
#include "reference_file.hpp"
#include "statistics.hpp"

namespace t5gemma2 {

namespace debug_tree_detail {

/// "torch.Size([1, 45])" -> 1, 45
inline std::vector<Index> shape_of(const JsonField& field) {
  std::string_view text = field.text();
  constexpr std::string_view head = "torch.Size([", tail = "])";
  if (!text.starts_with(head) || !text.ends_with(tail)) field.refuse("a shape, torch.Size([...])");
  text = text.substr(head.size(), text.size() - head.size() - tail.size());
  std::vector<Index> shape;
  while (!text.empty()) {
    Index extent = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc() || extent < 0) field.refuse("a shape, torch.Size([...])");
    shape.push_back(extent);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    text.remove_prefix(std::min(text.size(), text.find_first_not_of(", ")));
  }
  return shape;
}

/// None of a type that no tensor of a model has.
inline std::optional<Dtype> dtype_of(const JsonField& field) {
  static const std::map<std::string, Dtype, std::less<>> names{{"torch.float32", Dtype::f32},
                                                               {"torch.bfloat16", Dtype::bf16},
                                                               {"torch.float16", Dtype::f16},
                                                               {"torch.int64", Dtype::i64}};
  const auto found = names.find(field.text());
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

/// "tensor(-4.0354e-02, dtype=torch.bfloat16)" -> -0.040354
inline float number_of(const JsonField& field) {
  std::string_view text = field.text();
  constexpr std::string_view head = "tensor(";
  float number = 0;
  if (!text.starts_with(head)) field.refuse("a number, tensor(...)");
  text.remove_prefix(head.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || (*end != ')' && *end != ',')) field.refuse("a number, tensor(...)");
  return number;
}

/// The integers that torch prints; none where it leaves some out.
inline std::optional<std::vector<TokenId>> printed_ids(const JsonField& value) {
  std::vector<TokenId> ids;
  for (const JsonField& line : value.items()) {
    const std::string& text = line.text();
    if (text.find("...") != std::string::npos) return {};
    for (std::size_t at = 0; at < text.size();) {
      TokenId id = 0;
      const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
      if (error != std::errc()) {
        ++at;
        continue;
      }
      ids.push_back(id);
      at = static_cast<std::size_t>(end - text.data());
    }
  }
  return ids;
}

/// Reads one tree.
class Reader {
 public:
  explicit Reader(ReferenceFile& file) : file_(file) {}

  void read_tree(const JsonField& root) {
    root_ = root["module_path"].text();
    count_calls(root);
    read_inputs(root["inputs"]);
    for (const JsonField& child : children(root)) read(child);
  }

 private:
  static std::vector<JsonField> children(const JsonField& node) {
    const JsonField field = node["children"];
    return field.given() ? field.items() : std::vector<JsonField>{};
  }

  /// The path of a module below the model.
  std::string name_of(const JsonField& node) const {
    std::string name = node["module_path"].text();
    if (name.starts_with(root_ + ".")) name.erase(0, root_.size() + 1);
    return name;
  }

  void count_calls(const JsonField& node) {
    ++calls_[name_of(node)];
    for (const JsonField& child : children(node)) count_calls(child);
  }

  void read_inputs(const JsonField& inputs) {
    const JsonField args = inputs["args"], kwargs = inputs["kwargs"];
    const std::vector<JsonField> positional = args.given() ? args.items() : std::vector<JsonField>{};
    if (!positional.empty()) add_ids("inputs.input_ids", positional[0]);
    add_ids("inputs.input_ids", kwargs["input_ids"]);
    add_ids("inputs.decoder_input_ids", kwargs["decoder_input_ids"]);
    if (is_whole(kwargs["pixel_values"])) add_whole("inputs.pixel_values", kwargs["pixel_values"]);
  }

  /// Where the file tells them.
  void add_ids(const std::string& name, const JsonField& tensor) {
    if (is_whole(tensor)) return add_whole(name, tensor);
    const bool printed = tensor.is_object() && tensor["value"].is_array();
    if (!printed) return;
    if (const auto ids = printed_ids(tensor["value"]); ids && shape_of(tensor["shape"]).size() == 2)
      file_.set_ids(name, *ids);
  }

  static bool is_whole(const JsonField& tensor) { return tensor.is_object() && tensor["value"].is_text(); }

  void read(const JsonField& node) {
    const std::string name = name_of(node);
    const Index call = seen_[name]++;
    const bool last = seen_[name] == calls_[name];
    add_layer_before(name, node["inputs"]["args"]);
    for (const JsonField& child : children(node)) read(child);
    if (!node["outputs"].is_object() || !node["outputs"]["shape"].given()) return;
    const std::string tap = name == "lm_head.out_proj" ? "lm_head" : name;
    if (has_tap(tap)) add(call == 0 ? tap : tap + "[" + std::to_string(call) + "]", node["outputs"], last);
  }

  /// The engine has no dropout, and what these others return is no tensor of its own.
  static bool has_tap(std::string_view name) {
    constexpr std::array<std::string_view, 3> others{"rotary_emb", "dropout", "position_embedding"};
    const std::string_view last = name.substr(name.rfind('.') + 1);
    return std::find(others.begin(), others.end(), last) == others.end();
  }

  /// The first argument of layers.N is the output of layers.N-1; of the norm behind the layers, that of the last.
  void add_layer_before(const std::string& name, const JsonField& args) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos || !args.is_array() || args.items().empty()) return;
    const std::string parent = name.substr(0, dot), last = name.substr(dot + 1);
    Index number = -1;
    const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), number);
    const bool layer =
        parent.ends_with(".layers") && error == std::errc() && end == last.data() + last.size();
    const std::string before = layer && number > 0 ? parent + "." + std::to_string(number - 1)
                               : last == "norm" && layers_.contains(parent)
                                   ? parent + ".layers." + std::to_string(layers_[parent])
                                   : "";
    if (layer) layers_[parent.substr(0, parent.rfind('.'))] = number;
    if (!before.empty()) add(before, args.items()[0], true);
  }

  void add(const std::string& name, const JsonField& tensor, bool last_call) {
    if (last_call && is_whole(tensor)) return add_whole(name, tensor);
    const auto dtype = dtype_of(tensor["dtype"]);
    if (!dtype || !tensor["mean"].given()) return;
    const auto number = [&](const char* which) { return number_of(tensor[which]); };
    file_.statistics[name] = {name,
                              *dtype,
                              shape_of(tensor["shape"]),
                              {number("mean"), number("std"), number("min"), number("max")}};
  }

  /// The tensor in the file that the tree names.
  void add_whole(const std::string& name, const JsonField& tensor) {
    const JsonField value = tensor["value"];
    const std::filesystem::path relative = value.text();
    if (leaves_folder(relative)) value.refuse("a file beside this one");
    const auto& whole = file_.keep(SafetensorsFile::open(file_.path.parent_path() / relative));
    const auto found = whole.tensors().find("data");
    if (found == whole.tensors().end()) fail(whole.path().string(), "data", "a tensor", "nothing");
    if (found->second.shape != shape_of(tensor["shape"]))
      value.refuse("a tensor of " + tensor["shape"].text(),
                   text_of(found->second.dtype, found->second.shape) + " in " + whole.path().string());
    file_.tensors[name] = found->second;
    file_.tensors[name].name = name;
  }

  ReferenceFile& file_;
  std::string root_;  // the model's class
  std::map<std::string, Index> calls_, seen_;
  std::map<std::string, Index> layers_;  // the number of the last layer of each stack
};

}  // namespace debug_tree_detail

/// The tree in a text that was read at `path`, beside the files that it names. Throws Error where it, or one of them, is not
/// as the debugger writes it.
inline ReferenceFile parse_debug_tree(std::string_view text, const std::filesystem::path& path) {
  const nlohmann::json json = parse_json(text, path.string());
  ReferenceFile file{.path = path};
  debug_tree_detail::Reader(file).read_tree(JsonField(json, path.string()));
  return file;
}

/// The tree at `path`. Throws as parse_debug_tree does.
inline ReferenceFile read_debug_tree(const std::filesystem::path& path) {
  return parse_debug_tree(read_text(path, "transformers' debug tree"), path);
}

}  // namespace t5gemma2
