// Guesses about RoPE: bases, factors, pairs, positions.
#pragma once
#include <sstream>
#include <string>
#include <utility>

#include "../../../model.hpp"
#include "../guess.hpp"

namespace t5gemma2::guess_detail {

inline void add_rope(Guesses& all, const Model& model) {
  const auto rope = [&](const std::string& text, auto change) {
    all.push_back({text, [change](Variant& v) {
                     v.rope = [change](const Place& p) {
                       RopeConfig own = p.config.rope(p.layer.type);
                       change(p, own);
                       return own;
                     };
                   }});
  };
  rope("RoPE without its factor", [](const Place&, RopeConfig& own) { own.factor = 1; });
  rope("RoPE's factor is used in every layer",
       [](const Place& p, RopeConfig& own) { own.factor = p.config.full_attention.factor; });
  rope("RoPE's factor is applied twice", [](const Place&, RopeConfig& own) { own.factor *= own.factor; });
  rope("RoPE's factor multiplies frequencies",
       [](const Place&, RopeConfig& own) { own.factor = 1 / own.factor; });
  rope("the local base (rope_theta) is used in global layers, with the global factor",
       [](const Place& p, RopeConfig& own) { own.theta = p.config.sliding_attention.theta; });
  rope("the local base (rope_theta) is used in global layers, without a factor",
       [](const Place& p, RopeConfig& own) { own = p.config.sliding_attention; });
  rope("the global base (rope_theta) is used in local layers, with the local factor",
       [](const Place& p, RopeConfig& own) { own.theta = p.config.full_attention.theta; });
  rope("the global base (rope_theta) and factor are used in local layers",
       [](const Place& p, RopeConfig& own) { own = p.config.full_attention; });
  for (const auto& [name, other] : {std::pair<std::string, TextConfig>{"encoder", model.encoder.config},
                                    {"decoder", model.decoder.config}})
    rope("RoPE is the " + name + "'s",
         [other = other](const Place& p, RopeConfig& own) { own = other.rope(p.layer.type); });
  for (const double theta : {1e4, 1e5, 1.6e5, 5e5, 1e6, 1e7}) {
    std::ostringstream text;
    text << "rope_theta is " << theta;
    rope(text.str(), [theta](const Place&, RopeConfig& own) { own.theta = theta; });
    rope(text.str() + ", the factor 1", [theta](const Place&, RopeConfig& own) { own = {theta, 1}; });
  }
  all.push_back({"RoPE turns neighbouring numbers (interleaved), not halves",
                 [](Variant& v) { v.pairs_neighbours = true; }});
  all.push_back({"RoPE turns the other way", [](Variant& v) { v.turns_back = true; }});
  all.push_back({"RoPE turns half of each head only", [](Variant& v) { v.turned_share = 0.5; }});
  all.push_back({"RoPE turns a quarter of each head only", [](Variant& v) { v.turned_share = 0.25; }});
  all.push_back({"no RoPE", [](Variant& v) { v.rotates_queries = v.rotates_keys = false; }});
  all.push_back({"no RoPE on queries", [](Variant& v) { v.rotates_queries = false; }});
  all.push_back({"no RoPE on keys", [](Variant& v) { v.rotates_keys = false; }});
  all.push_back({"RoPE on values, too", [](Variant& v) { v.rotates_values = true; }});
}

inline void add_positions(Guesses& all) {
  const auto zero = [](Index, Index) { return Index{0}; };
  const auto m = [](Index decoder, Index) { return decoder; };
  const auto n = [](Index, Index encoder) { return encoder; };
  const auto one = [](Index, Index) { return Index{1}; };
  all.push_back({"RoPE on the encoder output's keys", [zero](Variant& v) { v.first_encoder_key = zero; }});
  all.push_back({"RoPE on the encoder output's keys, at positions after the decoder's",
                 [m](Variant& v) { v.first_encoder_key = m; }});
  all.push_back(
      {"RoPE on the encoder output's keys, the decoder's positions after them", [zero, n](Variant& v) {
         v.first_encoder_key = zero;
         v.first_query = v.first_key = n;
       }});
  all.push_back({"the decoder's positions begin after the encoder's",
                 [n](Variant& v) { v.first_query = v.first_key = n; }});
  all.push_back({"positions begin at 1", [one](Variant& v) { v.first_query = v.first_key = one; }});
  all.push_back({"queries are one position ahead", [one](Variant& v) { v.first_query = one; }});
  all.push_back({"keys are one position ahead", [one](Variant& v) { v.first_key = one; }});
}

}  // namespace t5gemma2::guess_detail
