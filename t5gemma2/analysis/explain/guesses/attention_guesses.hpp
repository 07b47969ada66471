// Guesses about scores and heads.
#pragma once
#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>

#include "../../../model.hpp"
#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline void add_scores(Guesses& all, const Model& model) {
  const auto scale = [&](const std::string& text, auto of) {
    all.push_back({text, [of](Variant& v) { v.scale = of; }});
  };
  scale("scores are scaled by 1/sqrt(head_dim), not by query_pre_attn_scalar",
        [](const Place& p) { return 1 / std::sqrt(static_cast<double>(p.config.head_dim)); });
  scale("scores are scaled by 1/sqrt(d / heads)", [](const Place& p) {
    return 1 / std::sqrt(static_cast<double>(p.config.hidden_size) /
                         static_cast<double>(p.config.num_attention_heads));
  });
  scale("scores are scaled by 1/sqrt(d)",
        [](const Place& p) { return 1 / std::sqrt(static_cast<double>(p.config.hidden_size)); });
  scale("scores are not scaled", [](const Place&) { return 1.0; });
  scale("scores are scaled by 1/query_pre_attn_scalar",
        [](const Place& p) { return 1 / double{p.config.query_pre_attn_scalar}; });
  scale("scores are scaled by 1/head_dim",
        [](const Place& p) { return 1 / static_cast<double>(p.config.head_dim); });
  scale("scores are scaled twice, by query_pre_attn_scalar and by head_dim", [](const Place& p) {
    return 1 / std::sqrt(double{p.config.query_pre_attn_scalar} * static_cast<double>(p.config.head_dim));
  });
  scale("scores are multiplied by sqrt(query_pre_attn_scalar)",
        [](const Place& p) { return std::sqrt(double{p.config.query_pre_attn_scalar}); });
  for (const auto& [name, s] :
       {std::pair<std::string, float>{"encoder", model.encoder.config.query_pre_attn_scalar},
        {"decoder", model.decoder.config.query_pre_attn_scalar}})
    scale("query_pre_attn_scalar is the " + name + "'s",
          [s = s](const Place&) { return 1 / std::sqrt(double{s}); });
  for (const double cap : {50.0, 30.0, 20.0}) {
    std::ostringstream text;
    text << "scores have a softcap of " << cap;
    all.push_back({text.str(), [cap](Variant& v) { v.score_softcap = cap; }});
  }
  all.push_back({"two softmaxes, of the decoder's keys and of the encoder's, in place of one",
                 [](Variant& v) { v.two_softmaxes = true; }});
}

inline void add_heads(Guesses& all, const Heads& heads) {
  const auto kv = [&](const std::string& text, auto of) {
    all.push_back({text, [of](Variant& v) { v.key_head = v.value_head = of; }});
  };
  kv("query head h uses key/value head h mod kv heads, not h / group",
     [](const Heads& h, Index head) { return head % h.kv; });
  kv("all query heads use key/value head 0", [](const Heads&, Index) { return Index{0}; });
  const auto merge = [&](const std::string& text, Merge form) {
    all.push_back({text, [form](Variant& v) { v.merge = form; }});
  };
  merge(
      "heads are not transposed back before o_proj: [heads, rows, head_dim] read as [rows, heads * head_dim]",
      Merge::transposed);
  merge("heads are interleaved before o_proj: [rows, head_dim, heads]", Merge::by_number);
  all.push_back({"heads are ordered by their place in the group before o_proj", [](Variant& v) {
                   v.place_of_head = [](const Heads& h, Index head) {
                     return head % h.group() * h.kv + head / h.group();
                   };
                 }});
  const auto reordered = [&](const std::string& how, auto query, auto key_value) {
    all.push_back({"query heads are " + how, [query](Variant& v) { v.query_head = query; }});
    all.push_back(
        {"key/value heads are " + how, [key_value](Variant& v) { v.key_head = v.value_head = key_value; }});
    all.push_back({"key heads are " + how, [key_value](Variant& v) { v.key_head = key_value; }});
    all.push_back({"value heads are " + how, [key_value](Variant& v) { v.value_head = key_value; }});
    all.push_back({"heads are " + how + " before o_proj", [query](Variant& v) { v.place_of_head = query; }});
  };
  reordered(
      "in the opposite order", [](const Heads& h, Index head) { return h.query - 1 - head; },
      [](const Heads& h, Index head) { return h.kv - 1 - head / h.group(); });
  for (Index i = 0; i < std::min<Index>(heads.query, 8); ++i)
    for (Index j = i + 1; j < std::min<Index>(heads.query, 8); ++j) {
      const auto swapped = [i, j](Index head) { return head == i ? j : head == j ? i : head; };
      reordered(
          "exchanged: " + std::to_string(i) + " and " + std::to_string(j),
          [swapped](const Heads&, Index head) { return swapped(head); },
          [swapped](const Heads& h, Index head) { return std::min(h.kv - 1, swapped(head / h.group())); });
    }
}

}  // namespace t5gemma2::guess_detail
