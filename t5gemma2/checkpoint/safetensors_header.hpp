// The safetensors format: 8 bytes header length (little-endian), the header in JSON, the data.
//
//   {"__metadata__": {"format": "pt"}, "model.decoder.norm.weight": {"dtype": "BF16", "shape": [640],
//    "data_offsets": [0, 1280]}, ...}
//
// Offsets count from the end of the header. Tensors fill the data without holes or overlaps, to the last
// byte. The checks are those of Metadata::validate in huggingface/safetensors, safetensors/src/tensor.rs, and
// one more: a name may occur only once.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../io/json_fields.hpp"
#include "../io/mapped_file.hpp"
#include "dtype.hpp"

namespace t5gemma2 {

/// One tensor as the header describes it.
struct TensorEntry {
  std::string name;
  Dtype dtype;
  std::vector<Index> shape;
  std::size_t begin, end;  // bytes from the start of the file
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of their data
  std::map<std::string, std::string, std::less<>> metadata;
};

namespace safetensors_detail {

constexpr std::size_t length_bytes = 8;
constexpr std::size_t longest_header = 100'000'000;  // the reference's limit

/// The JSON text of the header. Throws Error where `file` is not a safetensors file or is cut off.
inline std::string_view header_text(std::span<const std::byte> file, const std::string& where) {
  const std::string expected = "a safetensors file";
  refuse_failed_download(as_text(file), where, expected);
  if (file.size() < length_bytes) {
    fail_file(where, expected, "only " + std::to_string(file.size()) + " bytes: the file is cut off");
  }
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= std::to_integer<std::size_t>(file[i]) << (8 * i);
  if (length > longest_header) {
    fail(where, "header length", "at most 100 MB",
         std::to_string(length) + " bytes: not a safetensors file?");
  }
  if (length > file.size() - length_bytes) {
    fail(where, "header length",
         "at most " + std::to_string(file.size() - length_bytes) + " bytes, the rest of the file",
         std::to_string(length) + ": the file is cut off");
  }
  const std::string_view text = as_text(file.subspan(length_bytes, length));
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos || text[start] != '{')
    fail(where, "header", "a JSON object", in_quotes(text.substr(0, 8)));
  return text;
}

inline Dtype read_dtype(const JsonField& field) {
  const std::string& name = field.text();
  const auto known =
      std::find_if(dtypes.begin(), dtypes.end(), [&](const auto& n) { return n.name == name; });
  if (known == dtypes.end()) field.refuse("a number format of safetensors (F32, F16, BF16, I64, ...)");
  return known->dtype;
}

/// The header's entry `field` of tensor `name`. The data begins at byte `data_start` of the file and is
/// `data_bytes` long.
inline TensorEntry read_entry(const std::string& name, const JsonField& field, std::size_t data_start,
                              std::size_t data_bytes) {
  TensorEntry tensor{name, read_dtype(field["dtype"]), {}, 0, 0};
  constexpr Index largest = std::numeric_limits<Index>::max();
  for (const JsonField& extent : field["shape"].items()) tensor.shape.push_back(extent.integer(0, largest));

  const JsonField offsets_field = field["data_offsets"];
  const std::vector<JsonField> offsets = offsets_field.items();
  if (offsets.size() != 2) offsets_field.refuse("two offsets");
  const Index last = offsets[1].integer(0, largest), all = static_cast<Index>(data_bytes);
  if (last > all)
    offsets[1].refuse("at most " + std::to_string(all) + ", the end of the file",
                      std::to_string(last) + ": past the end, or the file is cut off");
  const Index begin = offsets[0].integer(0, static_cast<Index>(data_bytes));
  const Index end = offsets[1].integer(begin, static_cast<Index>(data_bytes));
  tensor.begin = data_start + static_cast<std::size_t>(begin);
  tensor.end = data_start + static_cast<std::size_t>(end);

  const std::optional<std::size_t> size = bytes_of(tensor.dtype, tensor.shape);
  if (!size) field["shape"].refuse("a size in whole bytes below 2^61");
  if (*size != tensor.end - tensor.begin) {
    offsets_field.refuse(std::to_string(*size) + " bytes for " + text_of(tensor.dtype, tensor.shape),
                         std::to_string(tensor.end - tensor.begin));
  }
  return tensor;
}

/// Throws Error unless the tensors, sorted by their data, fill [begin, end) exactly.
inline void check_layout(const std::vector<TensorEntry>& tensors, std::size_t begin, std::size_t end,
                         const std::string& where) {
  const std::size_t data_start = begin;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.begin != begin) {
      fail(where, readable(tensor.name) + ".data_offsets",
           "to begin at " + std::to_string(begin - data_start) + ", where the tensor before ends",
           std::to_string(tensor.begin - data_start) + (tensor.begin < begin ? ": an overlap" : ": a hole"));
    }
    begin = tensor.end;
  }
  if (begin != end) {
    fail(where, "data", std::to_string(begin - data_start) + " bytes, the end of the last tensor",
         std::to_string(end - data_start));
  }
}

}  // namespace safetensors_detail

/// The header of `file`, the content of a safetensors file; no byte of the data is read. Throws Error
/// naming `where` and the field when anything is wrong.
inline SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& where) {
  using namespace safetensors_detail;
  const std::string_view text = header_text(file, where);
  const std::size_t data_start = length_bytes + text.size();
  const nlohmann::json json = parse_json(text, where);
  const JsonField root(json, where);

  SafetensorsHeader header;
  for (const std::string& name : root.keys()) {
    if (name == "__metadata__") {
      if (!root[name].given()) continue;  // null: none
      for (const std::string& key : root[name].keys()) header.metadata[key] = root[name][key].text();
    } else {
      header.tensors.push_back(read_entry(name, root[name], data_start, file.size() - data_start));
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_layout(header.tensors, data_start, file.size(), where);
  return header;
}

}  // namespace t5gemma2
