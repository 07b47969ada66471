// What public ports of Gemma models got wrong, and what stands near it: one line each, in guesses/. compare tries them
// where its tensors and those of a file part (explain.hpp), and names the one that makes the numbers agree.
#pragma once
#include "../../model.hpp"
#include "guess.hpp"
#include "guesses/attention_guesses.hpp"
#include "guesses/embedding_guesses.hpp"
#include "guesses/feed_forward_guesses.hpp"
#include "guesses/logits_guesses.hpp"
#include "guesses/masks_guesses.hpp"
#include "guesses/norms_guesses.hpp"
#include "guesses/products_guesses.hpp"
#include "guesses/rope_guesses.hpp"

namespace t5gemma2 {

/// All guesses for a model and n encoder tokens.
inline Guesses guesses(const Model& model, Index n) {
  Guesses all;
  guess_detail::add_embedding(all);
  guess_detail::add_first_ids(all, model.config);
  guess_detail::add_norms(all, model);
  guess_detail::add_matrices(all);
  guess_detail::add_rope(all, model);
  guess_detail::add_positions(all);
  guess_detail::add_scores(all, model);
  guess_detail::add_heads(all, model.decoder.config.heads());
  guess_detail::add_encoder_masks(all);
  guess_detail::add_decoder_masks(all);
  guess_detail::add_layer_types(all);
  guess_detail::add_cross_masks(all, n);
  guess_detail::add_feed_forward(all);
  guess_detail::add_residuals(all);
  guess_detail::add_logits(all);
  guess_detail::add_casts(all);
  return all;
}

}  // namespace t5gemma2
