// Writing safetensors files, every tensor aligned to its numbers.
#pragma once
#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../io/atomic_file.hpp"
#include "../io/mapped_file.hpp"
#include "../tensor.hpp"
#include "dtype.hpp"
#include "safetensors_header.hpp"

namespace t5gemma2 {

/// A tensor to write; the caller owns the bytes.
struct NamedTensor {
  std::string name;
  Dtype dtype;
  std::vector<Index> shape;
  std::span<const std::byte> bytes;  // row-major, little-endian
};

namespace safetensors_detail {

/// Length and JSON of the header for `tensors` in this order, padded so that the data begins at a multiple of
/// 8 bytes.
inline std::string header_for(std::span<const NamedTensor* const> tensors,
                              const std::map<std::string, std::string>& metadata) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t begin = 0;
  for (const NamedTensor* tensor : tensors) {
    const std::string field = "write_safetensors " + tensor->name,
                      bytes = "the bytes of " + text_of(tensor->dtype, tensor->shape);
    check_argument(bytes_of(tensor->dtype, tensor->shape) == tensor->bytes.size(), field.c_str(),
                   bytes.c_str(), tensor->bytes.size());
    check_argument(!header.contains(tensor->name), field.c_str(), "each name once", "it twice");
    const std::size_t end = begin + tensor->bytes.size();
    header[tensor->name] = {
        {"dtype", name_of(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string json = header.dump();
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string length(length_bytes, '\0');
  for (std::size_t i = 0; i < length_bytes; ++i) length[i] = static_cast<char>(json.size() >> (8 * i) & 0xff);
  return length + json;
}

}  // namespace safetensors_detail

/// Writes `tensors` to `path`, atomically. Their data are sorted by decreasing number size, so that every
/// tensor is aligned. Throws Error when the file cannot be written, std::invalid_argument when a tensor's
/// bytes do not fit its shape or a name occurs twice.
inline void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                              const std::map<std::string, std::string>& metadata = {}) {
  std::vector<const NamedTensor*> ordered;
  for (const NamedTensor& tensor : tensors) ordered.push_back(&tensor);
  std::stable_sort(ordered.begin(), ordered.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return bits_of(a->dtype) > bits_of(b->dtype);
  });
  const std::string header = safetensors_detail::header_for(ordered, metadata);

  write_atomically(path, [&](std::ostream& out) {
    out << header;
    for (const NamedTensor* tensor : ordered) out << as_text(tensor->bytes);
  });
}

}  // namespace t5gemma2
