// The engine against a reference file: every tensor another implementation recorded, held against ours.
//
// The file is safetensors with the inputs (`inputs.input_ids` [1, n], n may be 0; `inputs.decoder_input_ids`
// [1, m]), the tensors under the reference's module paths, and greedy tokens (`generated` [1, k], beginning
// with `inputs.generate_from` or bos). A module that runs twice has `[1]` at its second call; `NAME[-N:]`
// holds only the last N rows of the second-last axis.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../model.hpp"
#include "../progress.hpp"
#include "../sampling.hpp"
#include "../vision/vision_weights.hpp"
#include "memory.hpp"

namespace t5gemma2 {

enum class Verdict { ok, over_tolerance, missing, wrong_shape, wrong_type, not_a_number };

struct TensorComparison {
  std::string name;          // in the file
  std::vector<Index> shape;  // in the file
  float max_difference = 0;  // max |ours - reference|
  float relative = 0;        // that over max |reference|
  Verdict verdict = Verdict::missing;
  std::vector<Index> found;  // our shape
};

/// Next-token distributions of `logits`, over all rows.
struct LogitsComparison {
  double mean_kl = 0, max_kl = 0;  // nats, KL(reference || ours)
  Index same_top = 0, rows = 0;    // rows whose largest logit is the same token's
};

struct GeneratedComparison {
  Index tokens = 0;                       // compared, without the prefix
  std::optional<Index> first_difference;  // step, counted from 0
  TokenId ours = 0, reference = 0;        // there; ours is -1 where our logits are not finite
  float margin = 0;                       // our logit of ours minus our logit of the reference's token
};

struct Comparison {
  std::vector<TensorComparison> tensors;  // in the engine's forward order; what it never made last
  std::optional<LogitsComparison> logits;
  std::optional<GeneratedComparison> generated;

  bool passed() const {
    if (tensors.empty() && !generated) return false;  // nothing was shown
    return std::all_of(tensors.begin(), tensors.end(),
                       [](const auto& t) { return t.verdict == Verdict::ok; }) &&
           !(generated && generated->first_difference);
  }
};

/// "k_norm[-64:]" -> "k_norm", 64; any other name as it is, 0.
inline std::pair<std::string, Index> split_last_rows(const std::string& name) {
  const std::size_t open = name.rfind("[-");
  if (open == std::string::npos || !name.ends_with(":]")) return {name, 0};
  const std::string digits = name.substr(open + 2, name.size() - open - 4);
  const bool number =
      !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
  return number ? std::pair(name.substr(0, open), Index{std::stol(digits)}) : std::pair(name, Index{0});
}

/// KL(softmax(reference) || softmax(ours)) and equal largest logits, row by row; both [rows, vocab].
inline LogitsComparison compare_logits(const Eigen::Ref<const Matrix>& ours,
                                       const Eigen::Ref<const Matrix>& reference) {
  LogitsComparison result;
  for (Index row = 0; row < ours.rows(); ++row) {
    const auto log_softmax = [](const auto& logits) {
      const Eigen::ArrayXd x = logits.template cast<double>().transpose().array();
      return (x - x.maxCoeff() - std::log((x - x.maxCoeff()).exp().sum())).eval();
    };
    const Eigen::ArrayXd p = log_softmax(reference.row(row)), q = log_softmax(ours.row(row));
    const double kl = (p.exp() * (p - q)).sum();
    Index top_p = 0, top_q = 0;
    p.maxCoeff(&top_p);
    q.maxCoeff(&top_q);
    result.mean_kl += (kl - result.mean_kl) / static_cast<double>(row + 1);
    result.max_kl = std::max(result.max_kl, kl);
    result.same_top += top_p == top_q;
    ++result.rows;
  }
  return result;
}

/// Holds what a Trace reports against a reference file's tensors.
class Comparer {
 public:
  Comparer(const StoredTensors& reference, float tolerance) : tolerance_(tolerance) {
    for (const auto& [name, tensor] : reference) {
      if (name.starts_with("inputs.") || name == "generated") continue;
      const auto [base, last_rows] = split_last_rows(name);
      pending_.insert({base, {&tensor, last_rows}});
    }
  }
  Comparer(const Comparer&) = delete;  // trace() refers to this object

  Trace trace() {
    return {.report = [this](const std::string& name, const std::vector<Index>& shape,
                             const float* values) { compare(name, shape, values); },
            .wants = [this](const std::string& name) { return pending_.contains(name); }};
  }

  /// All results; what was never reported is missing.
  Comparison finish() {
    for (const auto& [name, expected] : pending_)
      result_.tensors.push_back({.name = expected.tensor->name,
                                 .shape = expected.tensor->shape,
                                 .verdict = Verdict::missing,
                                 .found = {}});
    pending_.clear();
    return std::move(result_);
  }

 private:
  struct Expected {
    const StoredTensor* tensor;
    Index last_rows;  // 0: all
  };

  void compare(const std::string& name, const std::vector<Index>& shape, const float* values) {
    for (auto [at, end] = pending_.equal_range(name); at != end; at = pending_.erase(at))
      result_.tensors.push_back(compare_one(name, at->second, shape, values));
  }

  TensorComparison compare_one(const std::string& name, const Expected& expected, std::vector<Index> shape,
                               const float* values) {
    const StoredTensor& tensor = *expected.tensor;
    const Index rows = shape[shape.size() - 2], cols = shape.back();
    const Index kept = expected.last_rows > 0 ? std::min(expected.last_rows, rows) : rows;
    shape[shape.size() - 2] = kept;
    TensorComparison line{
        .name = tensor.name, .shape = tensor.shape, .verdict = Verdict::wrong_shape, .found = shape};
    if (tensor.shape != shape) return line;
    line.verdict = Verdict::wrong_type;
    if (tensor.dtype != Dtype::f32 && tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::bf16) return line;
    const Vector reference = to_vector(tensor);
    const Index matrices = kept * cols == 0 ? 0 : reference.size() / (kept * cols);
    Eigen::Map<const Matrix> theirs(reference.data(), matrices * kept, cols);
    Matrix ours(matrices * kept, cols);
    for (Index i = 0; i < matrices; ++i)
      ours.middleRows(i * kept, kept) =
          Eigen::Map<const Matrix>(values + (i * rows + rows - kept) * cols, kept, cols);
    judge(line, ours, theirs);
    if (name == "logits" && line.verdict != Verdict::not_a_number)
      result_.logits = compare_logits(ours, theirs);
    return line;
  }

  void judge(TensorComparison& line, const Matrix& ours, const Eigen::Map<const Matrix>& theirs) const {
    line.verdict = Verdict::ok;
    if (ours.size() == 0) return;
    line.max_difference = (ours - theirs).cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    const float scale = theirs.cwiseAbs().maxCoeff<Eigen::PropagateNaN>();
    line.relative = line.max_difference == 0 ? 0 : line.max_difference / scale;
    if (!ours.allFinite() || !theirs.allFinite())
      line.verdict = Verdict::not_a_number;
    else if (!(line.relative <= tolerance_))
      line.verdict = Verdict::over_tolerance;
  }

  float tolerance_;
  std::multimap<std::string, Expected, std::less<>> pending_;
  Comparison result_;
};

/// The ids of an integer tensor [1, k]; an empty list where the file has none. Throws Error for an id outside
/// the vocabulary.
inline std::vector<TokenId> ids_of(const StoredTensors& file, const std::string& name, Index vocab) {
  const auto found = file.find(name);
  if (found == file.end()) return {};
  const StoredTensor& tensor = found->second;
  if (tensor.shape.size() != 2 || tensor.shape[0] != 1)
    fail(tensor.file, name, "token ids [1, any]", text_of(tensor.dtype, tensor.shape));
  std::vector<TokenId> ids;
  for (const Index id : to_integers(tensor)) {
    if (id < 0 || id >= vocab)
      fail(tensor.file, name, "token ids from 0 to " + std::to_string(vocab - 1), std::to_string(id));
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

/// What a reference file gives to run.
struct ReferenceInputs {
  std::vector<TokenId> input_ids, decoder_input_ids;
  std::vector<TokenId> generate_from, generated;  // the first is a prefix of the second; both may be empty
};

/// Throws Error when inputs are missing, unknown, or not fit for this model.
inline ReferenceInputs read_inputs(const SafetensorsFile& file, const Config& config) {
  const StoredTensors& tensors = file.tensors();
  const std::string where = file.path().string();
  const std::set<std::string_view> known{"inputs.input_ids", "inputs.decoder_input_ids",
                                         "inputs.pixel_values", "inputs.generate_from"};
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with("inputs.") && !known.contains(name))
      fail(where, name, "input_ids, decoder_input_ids, pixel_values or generate_from", "another input");
  if (!tensors.contains("inputs.input_ids"))
    fail(where, "inputs.input_ids", "I64 [1, n], as t5gemma2-trace and weights_tool record write it",
         "nothing");
  const auto ids = [&](const char* name) { return ids_of(tensors, name, config.decoder.vocab_size); };
  ReferenceInputs inputs{ids("inputs.input_ids"), ids("inputs.decoder_input_ids"),
                         ids("inputs.generate_from"), ids("generated")};
  if (inputs.generated.empty()) return inputs;
  if (inputs.generate_from.empty()) inputs.generate_from = {static_cast<TokenId>(config.bos_token_id)};
  const bool continues =
      inputs.generated.size() > inputs.generate_from.size() &&
      std::equal(inputs.generate_from.begin(), inputs.generate_from.end(), inputs.generated.begin());
  if (!continues)
    fail(where, "generated", "ids that begin with inputs.generate_from, or bos without it", "others");
  return inputs;
}

/// Our greedy tokens against the file's.
inline GeneratedComparison compare_generated(const Model& model, const Matrix& H,
                                             std::span<const TokenId> prefix,
                                             std::span<const TokenId> generated,
                                             const Progress& progress = {}) {
  GeneratedComparison result;
  DecoderState state = start_decoder(model.decoder, H);
  for (std::size_t at = prefix.size(); at < generated.size(); ++at, ++result.tokens) {
    if (progress) progress(result.tokens, std::ssize(generated) - std::ssize(prefix));
    const auto unseen = generated.subspan(static_cast<std::size_t>(state.position),
                                          at - static_cast<std::size_t>(state.position));
    const Vector logits = decode(model.decoder, state, unseen);
    const TokenId reference = generated[at], ours = logits.allFinite() ? most_likely(logits) : -1;
    if (ours == reference) continue;
    result.first_difference = result.tokens;
    result.ours = ours;
    result.reference = reference;
    result.margin = ours < 0 ? std::numeric_limits<float>::quiet_NaN() : logits[ours] - logits[reference];
    break;
  }
  return result;
}

/// The features of each image of `inputs.pixel_values` [images, channels, size, size], reported to the trace.
inline std::vector<Matrix> encode_reference_images(const Model& model, const StoredTensors& reference,
                                                   const Trace& trace, const Progress& progress) {
  const auto found = reference.find("inputs.pixel_values");
  if (found == reference.end()) return {};
  const Vision vision = load_vision(model.config, *model.checkpoint);
  const VisionConfig& c = vision.vision_tower.config;
  const StoredTensor& stored = found->second;
  const Index images = stored.shape.empty() ? 0 : stored.shape[0], area = c.image_size * c.image_size;
  check_shape(stored, {images, c.num_channels, c.image_size, c.image_size},
              "images, num_channels, image_size, image_size");
  const Vector pixels = to_vector(stored);
  StackedTrace stacked;
  const Trace one = stacked.trace();
  std::vector<Matrix> features;
  for (Index i = 0; i < images; ++i) {
    const Matrix image =
        Eigen::Map<const Matrix>(pixels.data() + i * c.num_channels * area, c.num_channels, area);
    features.push_back(encode_image(vision, image, progress, &one));
  }
  stacked.report_to(trace);
  return features;
}

/// The progress of one part after the other; `part` says what is done in it: looking, encoding, ...
using PartProgress = std::function<void(const std::string& part, Index finished, Index all)>;

/// Runs the inputs of the file and compares all its tensors; `tolerance` is relative to each tensor's largest
/// value. Throws Error when the inputs are missing or not fit for this model.
inline Comparison compare(const Model& model, const SafetensorsFile& file, float tolerance,
                          const PartProgress& progress = {}) {
  const auto of = [&](const std::string& part) {
    return progress ? Progress([&, part](Index done, Index all) { progress(part, done, all); }) : Progress();
  };
  const StoredTensors& reference = file.tensors();
  const ReferenceInputs inputs = read_inputs(file, model.config);
  check_memory(model.config, std::ssize(inputs.input_ids),
               std::ssize(inputs.decoder_input_ids) + std::ssize(inputs.generated));
  Comparer comparer(reference, tolerance);
  const Trace trace = comparer.trace();
  const std::vector<Matrix> images = encode_reference_images(model, reference, trace, of("looking"));
  const Matrix H = encode(model, inputs.input_ids, images, of("encoding"), &trace);
  if (!inputs.decoder_input_ids.empty()) forward(model, inputs.decoder_input_ids, H, of("decoding"), &trace);
  Comparison result = comparer.finish();
  if (!inputs.generated.empty())
    result.generated = compare_generated(model, H, inputs.generate_from, inputs.generated, of("writing"));
  return result;
}

}  // namespace t5gemma2
