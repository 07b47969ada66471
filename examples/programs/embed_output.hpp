// Where embeddings go: JSON lines on stdout, or an array in a file.
#pragma once
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "copied_keys.hpp"
#include "t5gemma2/checkpoint/safetensors_writer.hpp"
#include "t5gemma2/io/npy_writer.hpp"
#include "t5gemma2/tensor.hpp"

namespace cli {

using t5gemma2::Index, t5gemma2::Matrix;

/// [0.5,-1.25]: the shortest digits that give each number back.
inline std::string numbers_text(const auto& row) {
  std::string text = "[";
  for (Index i = 0; i < row.size(); ++i) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, row[i]).ptr;
    text.append(i > 0 ? "," : "").append(digits, end);
  }
  return text + "]";
}

/// The line of a text's embedding, after the keys that are copied; a list of lists where every token has its own.
inline std::string embedding_line(const AnswerLine& copied, const Matrix& embedding, bool every_token) {
  std::string line = to_text(copied), numbers;
  line.pop_back();
  if (!copied.empty()) line += ',';
  for (Index row = 0; row < embedding.rows(); ++row)
    numbers += (row > 0 ? "," : "") + numbers_text(embedding.row(row));
  return line + "\"embedding\":" + (every_token ? "[" + numbers + "]" : numbers) + "}";
}

/// All embeddings, for a .npy or .safetensors file.
class EmbeddingArray {
 public:
  /// `width` numbers in an embedding.
  explicit EmbeddingArray(Index width) : width_(width) {}

  void add(const Matrix& embedding) {
    lengths_.push_back(embedding.rows());
    numbers_.insert(numbers_.end(), embedding.data(), embedding.data() + embedding.size());
  }

  Index texts() const { return std::ssize(lengths_); }

  /// Writes `embeddings` [texts, width]; with `every_token` [sum of tokens, width], and `lengths` [texts].
  void write(const std::filesystem::path& file, bool every_token) const {
    const Index rows = std::ssize(numbers_) / width_;
    if (file.extension() == ".npy") return t5gemma2::write_npy(file, {rows, width_}, numbers_);
    std::vector<t5gemma2::NamedTensor> tensors{
        {"embeddings", t5gemma2::Dtype::f32, {rows, width_}, std::as_bytes(std::span(numbers_))}};
    if (every_token)
      tensors.push_back({"lengths", t5gemma2::Dtype::i64, {texts()}, std::as_bytes(std::span(lengths_))});
    t5gemma2::write_safetensors(file, tensors, {{"format", "pt"}});
  }

 private:
  Index width_;
  std::vector<std::int64_t> lengths_;
  std::vector<float> numbers_;
};

}  // namespace cli
