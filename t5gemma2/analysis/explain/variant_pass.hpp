// A pass of the text model whose steps are a Variant's, from the tensors of a file where it has them: each tensor is
// computed from the file's own tensors before it, so that an error shows where it is made, and not where it arrives.
#pragma once
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../../model.hpp"
#include "variant.hpp"
#include "variant_layer.hpp"

namespace t5gemma2 {

/// What a pass is run on.
struct PassInputs {
  std::span<const TokenId> ids, decoder_ids;
  std::span<const Matrix> features{};  // of images
};

class VariantPass {
 public:
  /// `given(name)`: a tensor of the file that may stand for ours as it is, as [rows, columns]; else none.
  using Given = std::function<std::optional<Matrix>(const std::string& name, Index rows, Index cols)>;

  VariantPass(const Model& model, const PassInputs& inputs, VariantOf of, Given given, Exchange exchange)
      : model_(model),
        inputs_(inputs),
        of_(std::move(of)),
        given_(std::move(given)),
        exchange_(std::move(exchange)) {}

  /// Layers up to number `last` of a side; of all before them only what `last` needs and the file lacks.
  void up_to(bool decoder, Index last) {
    if (decoder)
      decode(last, true);
    else
      encode(last, true);
  }

  /// All of the model.
  void all() {
    encoded_ = encode(std::ssize(model_.encoder.layers));
    if (!inputs_.decoder_ids.empty()) decode(std::ssize(model_.decoder.layers));
  }

 private:
  static std::string side(bool decoder) { return decoder ? "model.decoder" : "model.encoder.text_model"; }
  Index n() const { return std::ssize(inputs_.ids); }
  Index m() const { return std::ssize(inputs_.decoder_ids); }

  /// The file's tensor in place of the computed one, after a look at that.
  Matrix give(const std::string& name, Matrix x) { return exchange_(name, std::move(x), false); }

  Matrix embedded(bool decoder, const Embedding& w, std::span<const TokenId> ids) const {
    const Variant& v = of_({decoder, nullptr, "embed_tokens"});
    float scale = std::pow(static_cast<float>(w.weight.cols), static_cast<float>(v.embedding_power));
    if (v.embedding_power == 0.5) scale = std::sqrt(static_cast<float>(w.weight.cols));
    if (v.rounds_embedding_scale) scale = static_cast<float>(Eigen::bfloat16(scale));
    Matrix x(std::ssize(ids), w.weight.cols);
    for (Index i = 0; i < x.rows(); ++i) {
      TokenId id = ids[static_cast<std::size_t>(i)];
      if (decoder && i == 0) id = v.first_decoder_id.value_or(id);
      x.row(i) = to_matrix(w.weight, id, 1) * scale;
      if (id == w.eoi_token_index && v.replaces_eoi)
        x.row(i) = w.eoi_embedding.transpose() * (v.scales_eoi ? scale : 1.0f);
    }
    return variant_detail::rounded(std::move(x), v.round_output);
  }

  /// The last layer before `last` whose output the file has; -1: none.
  Index start(bool decoder, Index last, Index rows, Index cols, Matrix& x) const {
    for (Index i = last - 1; i >= 0; --i)
      if (auto found = given_(side(decoder) + ".layers." + std::to_string(i), rows, cols)) {
        x = std::move(*found);
        return i;
      }
    return -1;
  }

  Matrix layers(bool decoder, Index first, Index last, Matrix x, const Matrix& H, const Matrix& before_norm) {
    const TextConfig& config = decoder ? model_.decoder.config : model_.encoder.config;
    const std::vector<Layer>& all = decoder ? model_.decoder.layers : model_.encoder.layers;
    for (Index i = first; i <= last && i < std::ssize(all); ++i) {
      const Place place{config, all[static_cast<std::size_t>(i)], decoder, i};
      x = VariantLayer(place, decoder ? m() : 0, n(), of_, exchange_)(x, H, before_norm);
    }
    return x;
  }

  Matrix last_norm(bool decoder, const Matrix& x) {
    const Vector& weight = decoder ? model_.decoder.norm : model_.encoder.norm;
    const TextConfig& config = decoder ? model_.decoder.config : model_.encoder.config;
    const Variant& v = of_({decoder, nullptr, "norm"});
    const bool leaves = v.left_out.contains("norm");
    return give(side(decoder) + ".norm",
                leaves ? x : variant_detail::norm(v, x, weight, config.rms_norm_eps));
  }

  /// H and H before its norm, both empty where there are no ids.
  std::pair<Matrix, Matrix> encode(Index last, bool skips = false) {
    const TextConfig& config = model_.encoder.config;
    Matrix x(0, config.hidden_size);
    if (n() == 0) return {x, x};
    const Index done = skips ? start(false, last, n(), config.hidden_size, x) : -1;
    if (done < 0) {
      x = give(side(false) + ".embed_tokens", embedded(false, model_.encoder.embed_tokens, inputs_.ids));
      if (!inputs_.features.empty())
        x = place_image_features(std::move(x), inputs_.ids, model_.config.image_token_index,
                                 inputs_.features);
    }
    x = layers(false, done + 1, last, std::move(x), {}, {});
    if (last < std::ssize(model_.encoder.layers)) return {x, x};
    Matrix H = last_norm(false, x);
    return {std::move(H), std::move(x)};
  }

  void decode(Index last, bool skips = false) {
    const TextConfig& config = model_.decoder.config;
    Matrix x;
    const Index done = skips ? start(true, last, m(), config.hidden_size, x) : -1;
    if (done < 0)
      x = give(side(true) + ".embed_tokens",
               embedded(true, model_.decoder.embed_tokens, inputs_.decoder_ids));
    if (last < 0) return;
    const auto [H, before_norm] = encoder_output();
    x = layers(true, done + 1, last, std::move(x), H, before_norm);
    if (last < std::ssize(model_.decoder.layers)) return;
    x = last_norm(true, x);
    const Variant& v = of_({true, nullptr, "lm_head"});
    Matrix logits = give("lm_head", variant_detail::product(v, x, model_.decoder.lm_head));
    give("logits", of_({true, nullptr, "logits"}).finish(config, std::move(logits)));
  }

  /// H and H before its norm: the file's, or computed.
  std::pair<Matrix, Matrix> encoder_output() {
    if (encoded_) return *encoded_;
    const Index d = model_.encoder.config.hidden_size, all = std::ssize(model_.encoder.layers);
    auto H = given_(side(false) + ".norm", n(), d);
    if (!H) return encode(all, true);
    auto before = given_(side(false) + ".layers." + std::to_string(all - 1), n(), d);
    return {std::move(*H), before ? std::move(*before) : Matrix(0, d)};
  }

  const Model& model_;
  PassInputs inputs_;
  VariantOf of_;
  Given given_;
  Exchange exchange_;
  std::optional<std::pair<Matrix, Matrix>> encoded_{};
};

}  // namespace t5gemma2
