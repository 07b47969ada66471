// A tensor of a file beside ours in the same form, and relations between them that need the model (relations.hpp has
// those that do not).
#pragma once
#include <cmath>
#include <optional>
#include <string>

#include "recomputation.hpp"
#include "relations.hpp"

namespace t5gemma2 {

/// The tensor, recomputed, in the form in which the reference stores it; nothing where it is not of the text model.
inline Evidence evidence(Recomputation& own, const std::string& tensor) {
  Evidence e{.name = tensor, .shape = {}, .ours = {}, .heads = 1, .their_shape = {}, .theirs = {}};
  own.compute(tensor, [&](const Matrix& computed, bool stacked, const auto&) {
    const TensorName name = parse_name(tensor);
    const Heads heads = (name.decoder ? own.model().decoder.config : own.model().encoder.config).heads();
    const std::string module = module_of(name.step);
    const bool normed = module == "q_norm" || module == "k_norm";
    if (module == "q_norm" || module == "q_proj" || stacked) e.heads = heads.query;
    if (module == "k_norm" || module == "k_proj" || module == "v_proj") e.heads = heads.kv;
    e.ours = normed ? file_tensors_detail::stacked(computed, e.heads) : computed;
    e.shape = {1, computed.rows(), computed.cols()};
    if (normed || stacked) e.shape = {1, e.heads, e.ours.rows() / e.heads, e.ours.cols()};
  });
  const StoredTensor& stored = own.file().at(tensor);
  e.their_shape = stored.shape;
  if (storage_type(stored.dtype)) e.theirs = to_vector(stored);
  return e;
}

namespace evidence_detail {

/// A norm's output that was recorded after RoPE.
inline std::optional<std::string> after_rope(const Model& model, const Evidence& e) {
  const TensorName name = parse_name(e.name);
  const auto& layers = name.decoder ? model.decoder.layers : model.encoder.layers;
  const Place place{name.decoder ? model.decoder.config : model.encoder.config,
                    layers[static_cast<std::size_t>(name.layer)], name.decoder, name.layer};
  const Matrix x = file_tensors_detail::unstacked(e.ours, e.heads);
  const Matrix y = file_tensors_detail::stacked(variant_detail::turn(Variant{}, place, x, 0), e.heads);
  if (!relation_detail::agree(y, relation_detail::as_rows(e, e.cols()))) return {};
  return name.step + " is recorded after RoPE" + (name.step.ends_with("[1]") ? ", which H does not get" : "");
}

/// Rows of the embedding that are other tokens' than the inputs say, or none of this model's.
inline std::optional<std::string> other_tokens(const Recomputation& own, const Evidence& e) {
  const bool decoder = e.name == "model.decoder.embed_tokens";
  const Embedding& w = decoder ? own.model().decoder.embed_tokens : own.model().encoder.embed_tokens;
  const auto ids = decoder ? own.inputs().decoder_ids : own.inputs().ids;
  const auto theirs = relation_detail::as_rows(e, e.cols());
  for (Index row = 0; row < e.rows(); ++row) {
    if (relation_detail::agree(theirs.row(row), e.ours.row(row))) continue;
    const Matrix all = to_matrix(w.weight, 0, w.weight.rows) * std::sqrt(static_cast<float>(w.weight.cols));
    Index nearest = 0;
    (all.rowwise() - theirs.row(row)).rowwise().squaredNorm().minCoeff(&nearest);
    const std::string which = "row " + std::to_string(row);
    if (!relation_detail::agree(all.row(nearest), theirs.row(row)))
      return "another model's file: " + which + " is no row of this model's embedding";
    return which + " is token " + std::to_string(nearest) + "'s, the inputs say " +
           std::to_string(ids[static_cast<std::size_t>(row)]) + ": another prefix, or other ids";
  }
  return {};
}

}  // namespace evidence_detail

/// How the file's tensor is related to ours; none where it is in no way that is known.
inline std::optional<std::string> relation(const Recomputation& own, const Evidence& e) {
  if (e.ours.size() == 0 || e.theirs.size() == 0) return {};
  const bool same_shape = e.shape == e.their_shape;
  std::optional<std::string> text;
  if (same_shape && e.by_head() && !e.name.ends_with("weights"))
    text = evidence_detail::after_rope(own.model(), e);
  if (!text) text = relation(e);
  if (!text && same_shape && e.name.ends_with("embed_tokens")) text = evidence_detail::other_tokens(own, e);
  return text;
}

}  // namespace t5gemma2
