// The steps of the text model that other implementations do in other ways, each a member that a guess
// (guesses.hpp) may change. Members that nobody changed say what the headers of the engine say.
#pragma once
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "../../config.hpp"
#include "../../feed_forward.hpp"
#include "../../layer.hpp"
#include "../../mask.hpp"
#include "../../tensor.hpp"

namespace t5gemma2 {

/// A layer of one side.
struct Place {
  const TextConfig& config;
  const Layer& layer;
  bool decoder = false;
  Index number = 0;

  Index window() const { return layer.self_attn.window; }
  bool global() const { return layer.type == LayerType::full_attention; }
};

/// Where in the model something is computed: a step is named as its tap in the module.
struct Step {
  bool decoder = false;
  const Place* layer = nullptr;  // none outside of layers
  std::string name;
};

/// "k_norm[1]" -> "k_norm"
inline std::string module_of(const std::string& step) { return step.substr(0, step.find('[')); }

/// What becomes of a sub-layer's output y, x being what the sub-layer was given before its first norm.
enum class Residual { added, left_out, to_the_normalised, normalised_with_x };

/// How heads [heads, rows, dh] become rows of heads*dh numbers before o_proj.
enum class Merge { by_row, transposed, by_number };

/// What the decoder takes for the encoder output.
enum class EncoderOutput { as_it_is, before_its_norm, normalised_by_the_layer, backwards };

struct Variant {  // NOLINT(clang-analyzer-optin.performance.Padding): in the order of a pass
  using Number = std::function<float(float)>;

  // ---- embedding: E[id] * d^power; the end-of-image vector as it is
  double embedding_power = 0.5;
  bool rounds_embedding_scale = false;  // to bfloat16
  bool replaces_eoi = true, scales_eoi = false;
  std::optional<TokenId> first_decoder_id{};  // in place of the one in the file

  // ---- norms: x / sqrt(mean(x^2) + eps) * (offset + weight)
  float norm_offset = 1;
  std::optional<float> eps{};
  bool centres = false;           // x - mean(x) first, as LayerNorm does
  bool eps_outside = false;       // sqrt(mean(x^2)) + eps
  bool norms_whole_rows = false;  // QK-norm over all heads at once
  bool norms_after_rope = false;  // QK-norm
  std::set<std::string> left_out{};
  std::function<std::string(const std::string& norm)> weight_of = [](const auto& norm) { return norm; };

  // ---- products
  std::function<std::string(const std::string& matrix)> matrix_of = [](const auto& matrix) { return matrix; };
  bool transposes_matrices = false;
  Number round_weight{}, round_input{}, round_output{};
  EncoderOutput encoder_output = EncoderOutput::as_it_is;

  // ---- RoPE; positions of the first rows, from the numbers of decoder and encoder tokens
  std::function<RopeConfig(const Place&)> rope = [](const Place& p) { return p.config.rope(p.layer.type); };
  std::function<Index(Index m, Index n)> first_query = [](Index, Index) { return Index{0}; };
  std::function<Index(Index m, Index n)> first_key = [](Index, Index) { return Index{0}; };
  std::function<Index(Index m, Index n)> first_encoder_key{};  // none: no RoPE on H
  bool rotates_queries = true, rotates_keys = true, rotates_values = false;
  bool pairs_neighbours = false, turns_back = false;
  double turned_share = 1;  // of the numbers of a head

  // ---- attention
  std::function<bool(const Place&, Index query, Index key)> mask = [](const Place& p, Index query,
                                                                      Index key) {
    return p.decoder ? DecoderMask{p.window()}(query, key) : EncoderMask{p.window()}(query, key);
  };
  std::function<bool(const Place&, Index query, Index key, Index n)> cross_mask =
      [](const Place&, Index, Index, Index) { return true; };
  std::function<double(const Place&)> scale = [](const Place& p) { return double{p.layer.self_attn.scale}; };
  std::optional<double> score_softcap{};
  bool two_softmaxes = false;  // of decoder and encoder side, the results added
  using HeadOf = std::function<Index(const Heads&, Index head)>;
  HeadOf query_head = [](const Heads&, Index head) { return head; };
  HeadOf key_head = [](const Heads& heads, Index head) { return head / heads.group(); };
  HeadOf value_head = [](const Heads& heads, Index head) { return head / heads.group(); };
  HeadOf place_of_head = [](const Heads&, Index head) { return head; };  // before o_proj
  Merge merge = Merge::by_row;

  // ---- residual stream
  Residual residual = Residual::added;
  bool parallel = false;  // the feed-forward is given what attention was given

  // ---- feed-forward: act(gate) * up
  std::function<Matrix(const Matrix&)> act = plain_gelu_tanh;
  bool swaps_gate = false;  // gate * act(up)
  bool adds_gate = false;   // act(gate) + up
  bool leaves_up_out = false;

  // ---- after lm_head
  std::function<Matrix(const TextConfig&, Matrix)> finish = [](const TextConfig& c, Matrix logits) {
    if (c.final_logit_softcapping) {
      const float cap = *c.final_logit_softcapping;
      logits = cap * (logits.array() / cap).tanh();
    }
    return logits;
  };
};

}  // namespace t5gemma2
