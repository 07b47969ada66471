// The model: the weights of both sides, and the two steps of its use (paper §2):
//
//   H = encode(model, ids)                      once
//   start_decoder(model.decoder, H), decode     token by token (decoder.hpp), or generate (generate.hpp)
//
// Reference: transformers models/t5gemma2/modeling_t5gemma2.py T5Gemma2ForConditionalGeneration
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/config_json.hpp"
#include "checkpoint/encoder_config_json.hpp"
#include "checkpoint/generation_config_json.hpp"
#include "kernels/allocation.hpp"
#include "lora/adapter.hpp"
#include "progress.hpp"
#include "vision/image_features.hpp"
#include "weights.hpp"

namespace t5gemma2 {

/// A loaded checkpoint. Copies share the mapped files.
struct Model {
  Config config;
  std::shared_ptr<const Checkpoint> checkpoint;  // owns the memory that the weights lie in
  Encoder encoder;
  Decoder decoder;
  GenerationConfig generation_config;
  std::vector<std::string> notes;  // for the user: unusual fields, unknown tensors
  std::vector<std::shared_ptr<const Adapter>> adapters =
      {};  // that have been applied (lora/apply_adapter.hpp)
};

/// Throws std::invalid_argument unless the model is a loaded one.
inline void check(const Model& model) {
  check_argument(model.checkpoint != nullptr, "Model checkpoint", "one that load_model opened", "none");
}

/// Opens a checkpoint folder in Hugging Face format. Large weights are mapped: their pages are read when they
/// are first used. From then on the process keeps freed memory (kernels/allocation.hpp). Throws Error when a file,
/// a field or a tensor is missing or wrong.
inline Model load_model(const std::filesystem::path& folder) {
  keep_freed_memory();
  const ConfigFile config_json = open_config(folder);
  Model model{.config = read_config(config_json.root()),
              .checkpoint = {},
              .encoder = {},
              .decoder = {},
              .generation_config = {},
              .notes = {}};
  model.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(folder));
  WeightReader read(*model.checkpoint);
  model.encoder = read_encoder(read, model.config);
  model.decoder = read_decoder(read, model.config, model.encoder.embed_tokens);
  model.generation_config = load_generation_config(folder, config_json, model.config);
  model.notes = model.config.notes;
  for (const std::string& note : model.generation_config.notes) model.notes.push_back(note);
  if (is_there(folder / "adapter_config.json"))
    model.notes.push_back(
        "adapter_config.json: an adapter beside the model is not applied: --lora FOLDER applies it");
  for (const std::string& name : read.unknown())
    model.notes.push_back("unknown tensor, not used: " + readable(name));
  return model;
}

/// The encoder alone, from a folder that holds no more (checkpoint/encoder_config_json.hpp) or a whole model. The
/// decoder and the generation_config of the result stay empty. Throws as load_model does.
inline Model load_encoder(const std::filesystem::path& folder) {
  keep_freed_memory();
  Model model{.config = read_encoder_config(open_config(folder).root()),
              .checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(folder)),
              .encoder = {},
              .decoder = {},
              .generation_config = {},
              .notes = {}};
  WeightReader read(*model.checkpoint);
  model.encoder = read_encoder(read, model.config);
  model.notes = model.config.notes;
  for (const std::string& name : read.unknown())
    if (!is_decoder(canonical_name(name)))
      model.notes.push_back("unknown tensor, not used: " + readable(name));
  return model;
}

/// ids [n] -> x [n, d], what the encoder's first layer gets: embedded tokens, with image features in the places of
/// image tokens. Throws as encode does.
inline Matrix encoder_input(const Model& model, std::span<const TokenId> ids,
                            std::span<const Matrix> features, const Tap& tap = {}) {
  Matrix x = tap("embed_tokens", embed(model.encoder.embed_tokens, ids));
  if (features.empty()) return x;
  return place_image_features(std::move(x), ids, model.config.image_token_index, features);
}

/// ids [n], bos included -> H [n, d]; `features`, [mm_tokens_per_image, d] for each image (vision/vision.hpp:
/// encode_image), take the places of the image tokens. No ids (n = 0) give an empty H: the decoder's
/// attention is then Gemma 3's. Progress counts ids, by the work that is done for all. Throws Error for an id outside the vocabulary, and
/// when image features and image tokens do not match.
inline Matrix encode(const Model& model, std::span<const TokenId> ids, std::span<const Matrix> features,
                     const Progress& progress = {}, const Trace* trace = nullptr) {
  check(model.encoder);
  if (ids.empty()) return Matrix(0, model.config.encoder.hidden_size);
  const Tap tap = trace ? Tap(*trace) / "model" / "encoder" / "text_model" : Tap();
  return encoder(model.encoder, encoder_input(model, ids, features, tap), tap, progress);
}

/// The same without images.
inline Matrix encode(const Model& model, std::span<const TokenId> ids, const Progress& progress = {},
                     const Trace* trace = nullptr) {
  return encode(model, ids, std::span<const Matrix>(), progress, trace);
}

/// One pass over all decoder ids [m] without a cache, H [n, d] -> logits [m, vocab]. Progress counts layers.
/// Throws Error for an id outside the vocabulary, std::invalid_argument where the decoder is incomplete or H
/// of another width.
inline Matrix forward(const Model& model, std::span<const TokenId> decoder_ids, const Matrix& H,
                      const Progress& progress = {}, const Trace* trace = nullptr) {
  const Tap root = trace ? Tap(*trace) : Tap();
  const Matrix x = decoder(model.decoder, decoder_ids, H, root / "model" / "decoder", progress);
  return logits_of(model.decoder, x, root);
}

}  // namespace t5gemma2
