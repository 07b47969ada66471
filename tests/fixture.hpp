// For tests: the small checkpoints in tests/data and what transformers computed with them, generated
// matrices, and the difference between two matrices. `basic` is a model with two layers in the encoder and
// two in the decoder, the first local, the second global; its reference file holds every tap of one
// forward pass.
#pragma once
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "t5gemma2/analysis/reference/open_reference.hpp"
#include "t5gemma2/checkpoint/safetensors.hpp"
#include "t5gemma2/checkpoint/safetensors_writer.hpp"
#include "t5gemma2/model.hpp"

namespace t5gemma2 {

/// The relative error allowed where the engine gets the reference's own input.
constexpr double tight = 2e-6;

inline std::filesystem::path data_folder(const std::string& name = "") {
  return std::filesystem::path(T5GEMMA2_TEST_DATA) / name;
}

// ---- the difference between two matrices ----

/// max |found - expected| / max |expected|; NaN if either holds a NaN or an infinity, infinity if the
/// shapes differ. Meant for CHECK(difference(found, expected) <= tight), which fails for a NaN and prints
/// the number.
template <class Found, class Expected>
double difference(const Found& found, const Expected& expected) {
  if (found.rows() != expected.rows() || found.cols() != expected.cols()) {
    MESSAGE("found [", found.rows(), ", ", found.cols(), "], expected [", expected.rows(), ", ",
            expected.cols(), "]");
    return std::numeric_limits<double>::infinity();
  }
  double worst = 0, largest = 0;
  for (Index row = 0; row < found.rows(); ++row)
    for (Index col = 0; col < found.cols(); ++col) {
      const double ours{found(row, col)}, theirs{expected(row, col)};
      if (!std::isfinite(ours) || !std::isfinite(theirs)) return std::numeric_limits<double>::quiet_NaN();
      worst = std::max(worst, std::abs(ours - theirs));
      largest = std::max(largest, std::abs(theirs));
    }
  return worst == 0 ? 0 : worst / largest;
}

/// Whether a and b have the same shape and the same numbers, to the last bit.
inline bool same_bits(const Matrix& a, const Matrix& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  return std::equal(a.data(), a.data() + a.size(), b.data(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

/// The rows that hold a NaN.
inline std::vector<Index> rows_with_nan(const Matrix& x) {
  std::vector<Index> rows;
  for (Index row = 0; row < x.rows(); ++row)
    if (x.row(row).hasNaN()) rows.push_back(row);
  return rows;
}

/// The rows in which a and b differ in any bit.
inline std::vector<Index> rows_that_differ(const Matrix& a, const Matrix& b) {
  std::vector<Index> rows;
  for (Index row = 0; row < a.rows(); ++row)
    if (!same_bits(a.row(row), b.row(row))) rows.push_back(row);
  return rows;
}

/// first, first + 1, ..., last; empty if last < first.
inline std::vector<Index> range(Index first, Index last) {
  std::vector<Index> numbers;
  for (; first <= last; ++first) numbers.push_back(first);
  return numbers;
}

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

/// x with a NaN at [row, col].
inline Matrix with_nan(Matrix x, Index row, Index col) {
  x(row, col) = nan_value;
  return x;
}

/// Whether make() returns the same finite numbers, to the last bit, with 1, 2 and 3 threads.
template <class Make>
bool same_for_any_threads(const Make& make) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const Matrix alone = make();
  bool same = true;
  for (const int threads : {2, 3}) {
    omp_set_num_threads(threads);
    same = same && same_bits(make(), alone);
  }
  omp_set_num_threads(before);
  return same && alone.size() > 0 && alone.allFinite();
}

// ---- chunks ----

/// All `rows`, so many in a chunk.
inline std::vector<Chunk> chunks_of_size(Index rows, Index size) {
  std::vector<Chunk> chunks;
  for (Index first = 0; first < rows; first += size) chunks.push_back({first, std::min(size, rows - first)});
  return chunks;
}

// ---- generated matrices ----

/// Numbers between -1 and 1, always the same for a seed.
inline Matrix random_matrix(Index rows, Index cols, unsigned seed) {
  std::mt19937 random(seed);
  Matrix x(rows, cols);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
  return x;
}

inline Vector random_vector(Index size, unsigned seed) { return random_matrix(1, size, seed).row(0); }

/// Whole numbers from -8 to 8: every storage type holds them exactly, and their products and sums are exact
/// in float32, in any order.
inline Matrix whole_numbers(Index rows, Index cols, unsigned seed) {
  return (random_matrix(rows, cols, seed).array() * 8.0f).round();
}

/// A matrix in the form in which a checkpoint stores it.
class StoredMatrix {
 public:
  explicit StoredMatrix(const Matrix& x, StorageType type = StorageType::float32)
      : bytes_(static_cast<std::size_t>(x.rows() * row_bytes(type, x.cols()))),
        weight_{nullptr, type, x.rows(), x.cols()} {
    for (Index i = 0; i < x.size(); ++i) {
      const float value = x.data()[i];
      if (type == StorageType::float32)
        put(i, value);
      else if (type == StorageType::float16)
        put(i, Eigen::half(value));
      else
        put(i, Eigen::bfloat16(value));
    }
  }

  /// A view of the memory that this object owns.
  Weight weight() const {
    Weight weight = weight_;
    weight.data = bytes_.data();
    return weight;
  }

 private:
  template <class Number>
  void put(Index i, Number number) {
    std::memcpy(bytes_.data() + static_cast<std::size_t>(i) * sizeof number, &number, sizeof number);
  }

  std::vector<std::byte> bytes_;
  Weight weight_;
};

// ---- checkpoints and reference files ----

/// The model of a fixture, loaded once.
inline const Model& fixture_model(const std::string& name = "basic") {
  static std::map<std::string, Model> models;
  const auto at = models.find(name);
  return at != models.end() ? at->second : models.emplace(name, load_model(data_folder(name))).first->second;
}

/// The reference file of a fixture, opened once.
inline const ReferenceFile& fixture_reference(const std::string& name = "basic") {
  static std::map<std::string, ReferenceFile> files;
  const auto at = files.find(name);
  if (at != files.end()) return at->second;
  const auto path = data_folder(name) / "reference.safetensors";
  return files.emplace(name, open_reference(path)).first->second;
}

/// A tensor of a reference file: [1, rows, cols] as [rows, cols]; heads [1, h, rows, cols] as [h*rows, cols],
/// one below the other.
inline Matrix reference_tensor(const std::string& name, const std::string& fixture = "basic") {
  const auto& tensors = fixture_reference(fixture).tensors;
  const auto found = tensors.find(name);
  REQUIRE_MESSAGE(found != tensors.end(), name);
  const Vector values = to_vector(found->second);
  const Index cols = found->second.shape.back();
  return Eigen::Map<const Matrix>(values.data(), values.size() / cols, cols);
}

/// Heads [1, h, rows, dh] of a reference file in the layout of the engine, [rows, h*dh].
inline Matrix reference_heads(const std::string& name, const std::string& fixture = "basic") {
  const Matrix stacked = reference_tensor(name, fixture);
  const Index heads = fixture_reference(fixture).tensors.find(name)->second.shape[1],
              rows = stacked.rows() / heads, size = stacked.cols();
  Matrix x(rows, heads * size);
  for (Index head = 0; head < heads; ++head)
    x.middleCols(head * size, size) = stacked.middleRows(head * rows, rows);
  return x;
}

/// Token ids of a reference file: `inputs.input_ids`, `inputs.decoder_input_ids`, `generated`.
inline std::vector<TokenId> reference_ids(const std::string& name, const std::string& fixture = "basic") {
  const auto& tensors = fixture_reference(fixture).tensors;
  const auto found = tensors.find(name);
  REQUIRE_MESSAGE(found != tensors.end(), name);
  std::vector<TokenId> ids;
  for (const Index id : to_integers(found->second)) ids.push_back(static_cast<TokenId>(id));
  return ids;
}

inline const std::string encoder_path = "model.encoder.text_model.", decoder_path = "model.decoder.";

/// "model.decoder.layers.1"
inline std::string layer_path(const std::string& side, Index layer) {
  return side + "layers." + std::to_string(layer);
}

/// A layer of the fixture `basic`; `side` is encoder_path or decoder_path.
inline const Layer& fixture_layer(const std::string& side, Index layer) {
  const Model& model = fixture_model();
  return (side == encoder_path ? model.encoder.layers : model.decoder.layers)
      .at(static_cast<std::size_t>(layer));
}

/// The input of a layer: the output of the layer before it, or the embedded tokens.
inline Matrix reference_layer_input(const std::string& side, Index layer) {
  return reference_tensor(layer == 0 ? side + "embed_tokens" : layer_path(side, layer - 1));
}

/// A trace that keeps every reported tensor under its name, as [rows of all heads, cols].
class Recorder {
 public:
  Recorder() = default;
  Recorder(const Recorder&) = delete;

  Trace trace() {
    return {.report =
                [this](const std::string& name, const std::vector<Index>& shape, const float* values) {
                  Index rows = 1;
                  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
                  names.push_back(name);
                  tensors[name] = Eigen::Map<const Matrix>(values, rows, shape.back());
                },
            .wants =
                [this](const std::string& name) {
                  asked.push_back(name);
                  return wanted;
                }};
  }

  bool wanted = true;              // what `wants` returns
  std::vector<std::string> names;  // of the reported tensors, in order
  std::vector<std::string> asked;  // the names that `wants` was called with
  std::map<std::string, Matrix> tensors;
};

// ---- copies of checkpoints, to be changed and written ----

/// A tensor that owns its bytes.
struct OwnedTensor {
  Dtype dtype;
  std::vector<Index> shape;
  std::vector<std::byte> bytes;

  float* floats() { return reinterpret_cast<float*>(bytes.data()); }
};
using OwnedTensors = std::map<std::string, OwnedTensor>;

inline OwnedTensors copy_of(const StoredTensors& tensors) {
  OwnedTensors copies;
  for (const auto& [name, tensor] : tensors)
    copies[name] = {tensor.dtype, tensor.shape, {tensor.data, tensor.data + tensor.bytes}};
  return copies;
}

template <class Number>
OwnedTensor owned(Dtype dtype, std::vector<Index> shape, const std::vector<Number>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {dtype, std::move(shape), {bytes.begin(), bytes.end()}};
}

inline void write_file(const std::filesystem::path& path, const OwnedTensors& tensors) {
  std::vector<NamedTensor> named;
  for (const auto& [name, tensor] : tensors)
    named.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
  write_safetensors(path, named);
}

}  // namespace t5gemma2
