// The engine against a reference file (open_reference.hpp): its inputs are run, and every tensor in it is
// compared with the engine's.
#pragma once
#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../lora/apply_adapter.hpp"
#include "../model.hpp"
#include "../progress.hpp"
#include "../sampling.hpp"
#include "comparer.hpp"
#include "explain/explain.hpp"
#include "memory.hpp"
#include "reference/open_reference.hpp"
#include "reference/reference_inputs.hpp"

namespace t5gemma2 {

/// Our greedy tokens after the decoder prompt (at least one id) against those of `generated`, which begins
/// with the prompt; H [n, d]. Progress counts tokens. Throws Error for an id outside the vocabulary.
inline GeneratedComparison compare_generated(const Model& model, const Matrix& H,
                                             std::span<const TokenId> prompt,
                                             std::span<const TokenId> generated,
                                             const Progress& progress = {}) {
  check_ids(generated, model.decoder.config.vocab_size, "generated");
  GeneratedComparison result;
  DecoderState state = start_decoder(model.decoder, H);
  for (std::size_t at = prompt.size(); at < generated.size(); ++at, ++result.tokens) {
    if (progress) progress(result.tokens, std::ssize(generated) - std::ssize(prompt));
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

/// The image features [mm_tokens_per_image, d] of each image of `inputs.pixel_values`, `stored` [images,
/// channels, size, size]; the trace gets all tensors on the way. Throws Error for another shape.
inline std::vector<Matrix> encode_reference_images(const Vision& vision, const StoredTensor& stored,
                                                   const Trace& trace, const Progress& progress) {
  const VisionConfig& c = vision.vision_tower.config;
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

/// Progress of the parts, one after the other: looking (images), encoding, decoding, writing.
using PartProgress = std::function<void(const std::string& part, Index finished, Index all)>;

/// Where a reference file has its images.
inline const char* const images_of_reference = "inputs.pixel_values";

/// The file's own image features where it has them whole, else ours.
inline std::vector<Matrix> features_of(const StoredTensors& reference, const std::vector<Matrix>& ours) {
  const auto found = reference.find("model.encoder.multi_modal_projector");
  if (ours.empty() || found == reference.end() || !storage_type(found->second.dtype)) return ours;
  const Index rows = ours[0].rows(), cols = ours[0].cols();
  if (found->second.shape != std::vector<Index>{std::ssize(ours), rows, cols}) return ours;
  const Vector numbers = to_vector(found->second);
  if (!numbers.allFinite()) return ours;
  std::vector<Matrix> theirs;
  for (Index i = 0; i < std::ssize(ours); ++i)
    theirs.emplace_back(Eigen::Map<const Matrix>(numbers.data() + i * rows * cols, rows, cols));
  return theirs;
}

/// Runs the inputs of the file and compares all its tensors; `vision` is for its images. Throws Error when the inputs are missing or do not fit this model.
inline Comparison compare(const Model& model, const std::optional<Vision>& vision, const ReferenceFile& file,
                          const Tolerances& tolerances = {}, const PartProgress& progress = {}) {
  const auto of = [&](const std::string& part) {
    return progress ? Progress([&, part](Index done, Index all) { progress(part, done, all); }) : Progress();
  };
  check(model);
  const StoredTensors& reference = file.tensors;
  const ReferenceInputs inputs = read_inputs(file, model.config);
  check_memory(model.config, std::ssize(inputs.input_ids),
               std::ssize(inputs.decoder_input_ids) + std::ssize(inputs.generated));
  Comparer comparer(file, tolerances);
  const Trace trace = comparer.trace();
  std::vector<Matrix> images;
  if (const auto pixels = reference.find(images_of_reference); pixels != reference.end()) {
    check_argument(vision.has_value(), "compare vision", "the model's, for the images in the file", "none");
    images = encode_reference_images(*vision, pixels->second, trace, of("looking"));
  }
  const Matrix H = encode(model, inputs.input_ids, images, of("encoding"), &trace);
  if (!inputs.decoder_input_ids.empty()) forward(model, inputs.decoder_input_ids, H, of("decoding"), &trace);
  Comparison result = comparer.finish();
  if (!inputs.generated.empty())
    result.generated = compare_generated(model, H, inputs.generate_from, inputs.generated, of("writing"));
  result.image_features = std::move(images);
  return result;
}

/// The same with the vision half of the checkpoint, where the file has images.
inline Comparison compare(const Model& model, const ReferenceFile& file, const Tolerances& tolerances = {},
                          const PartProgress& progress = {}) {
  check(model);
  std::optional<Vision> vision;
  if (file.tensors.contains(images_of_reference)) vision = load_vision(model);
  return compare(model, vision, file, tolerances, progress);
}

/// Looks for the reasons of what differs between the model and the file it was compared with, and fills them in. None are
/// found where the engine rounds weights itself. Progress counts guesses. Throws as compare does.
inline void explain(Comparison& result, const Model& model, const ReferenceFile& file,
                    const Progress& progress = {}) {
  const auto rounds = [](const Weight& W) { return W.rounds_x || W.type == StorageType::int8_blocks; };
  if (result.passed() || model.decoder.layers.empty() || rounds(model.decoder.layers[0].self_attn.q_proj))
    return;
  const ReferenceInputs inputs = read_inputs(file, model.config);
  const std::vector<Matrix> features = features_of(file.tensors, result.image_features);
  const Explanation found = explain(model, PassInputs{inputs.input_ids, inputs.decoder_input_ids, features},
                                    file.tensors, progress);
  result.reasons = found.reasons;
  result.guesses_tried = found.tried;
  for (TensorComparison& tensor : result.tensors)
    if (const auto error = found.own_errors.find(tensor.name); error != found.own_errors.end()) {
      tensor.own_error = error->second;
      tensor.wrong_by_itself = std::ranges::find(found.wrong, tensor.name) != found.wrong.end();
    }
}

}  // namespace t5gemma2
