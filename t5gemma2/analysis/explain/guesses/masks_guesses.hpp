// Guesses about which keys a query sees.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>

#include "../guess.hpp"

namespace t5gemma2::guess_detail {

using MaskOf = std::function<bool(const Place&, Index query, Index key)>;

inline bool local(const Place& p) { return p.window() != no_window; }

inline void add_mask(Guesses& all, const std::string& text, const MaskOf& changed,
                     const std::function<bool(const Place&)>& where) {
  all.push_back({text, [changed, where](Variant& v) {
                   v.mask = [changed, where, own = v.mask](const Place& p, Index query, Index key) {
                     return where(p) ? changed(p, query, key) : own(p, query, key);
                   };
                 }});
}

inline void add_encoder_masks(Guesses& all) {
  const auto encoder = [](const Place& p) { return !p.decoder; };
  const auto windowed = [](const Place& p) { return !p.decoder && local(p); };
  const auto sides = [&](const std::string& text, auto back, auto ahead) {  // how many tokens are seen
    add_mask(
        all, text,
        [=](const Place& p, Index q, Index k) {
          return k <= q ? q - k <= back(p.window()) : k - q <= ahead(p.window());
        },
        windowed);
  };
  const auto back = [](Index w) { return (w + 1) / 2 - 1; };
  const auto ahead = [](Index w) { return w / 2; };
  for (const Index by : {Index{1}, Index{-1}, Index{2}, Index{-2}}) {
    const std::string text =
        (by > 0 ? "+" : "") + std::to_string(by) + " token" + (std::abs(by) > 1 ? "s" : "");
    const auto more = [by](auto of) { return [by, of](Index w) { return of(w) + by; }; };
    sides("the encoder's window is off by " + text + " to the left", more(back), ahead);
    sides("the encoder's window is off by " + text + " to the right", back, more(ahead));
    sides("the encoder's window is off by " + text + " to either side", more(back), more(ahead));
  }
  sides("the halves of the encoder's window are exchanged", ahead, back);
  const auto whole = [](Index w) { return w - 1; };
  const auto all_of_it = [](Index w) { return w; };
  sides("the encoder's window reaches sliding_window tokens to either side, not half of it", whole, whole);
  sides("the encoder's window reaches sliding_window tokens, both ends included, to either side", all_of_it,
        all_of_it);
  const auto quarter = [](Index w) { return w / 4; };
  sides("the encoder's window is halved twice", quarter, quarter);
  const auto nothing = [](Index) { return Index{0}; };
  sides("the encoder's local layers see half a window of the past only", back, nothing);
  sides("the encoder's local layers are causal, with the whole window", whole, nothing);
  add_mask(
      all, "the encoder is causal",
      [](const Place& p, Index q, Index k) { return DecoderMask{p.window()}(q, k); }, encoder);
  add_mask(
      all, "the encoder's layers see the past only",
      [](const Place& p, Index q, Index k) { return k <= q && EncoderMask{p.window()}(q, k); }, encoder);
}

inline void add_decoder_masks(Guesses& all) {
  const auto decoder = [](const Place& p) { return p.decoder; };
  const auto windowed = [](const Place& p) { return p.decoder && local(p); };
  const auto window = [&](const std::string& text, auto of) {
    add_mask(
        all, text, [=](const Place& p, Index q, Index k) { return DecoderMask{of(p.window())}(q, k); },
        windowed);
  };
  for (const Index by : {Index{1}, Index{-1}, Index{2}, Index{-2}}) {
    const std::string text =
        (by > 0 ? "+" : "") + std::to_string(by) + " token" + (std::abs(by) > 1 ? "s" : "");
    window("the decoder's window is off by " + text, [by](Index w) { return std::max<Index>(1, w + by); });
  }
  window("the decoder's window is half of sliding_window",
         [](Index w) { return std::max<Index>(1, (w + 1) / 2); });
  window("the decoder's window is twice sliding_window", [](Index w) { return 2 * w; });
  add_mask(
      all, "the decoder is not causal: every token sees all others",
      [](const Place&, Index, Index) { return true; }, decoder);
  add_mask(
      all, "the decoder is not causal: in local layers the window holds to either side",
      [](const Place& p, Index q, Index k) { return !local(p) || std::abs(q - k) < p.window(); }, decoder);
  add_mask(
      all, "the decoder is not causal: it has the encoder's mask",
      [](const Place& p, Index q, Index k) { return EncoderMask{p.window()}(q, k); }, decoder);
  add_mask(
      all, "the decoder is not causal in the past's window: every later token is visible",
      [](const Place& p, Index q, Index k) { return k > q || DecoderMask{p.window()}(q, k); }, decoder);
  add_mask(
      all, "the decoder's mask is off by one: the next token is visible",
      [](const Place& p, Index q, Index k) { return DecoderMask{p.window()}(q + 1, k); }, decoder);
  add_mask(
      all, "the decoder's mask is off by one: a token does not see itself",
      [](const Place& p, Index q, Index k) { return k < q && DecoderMask{p.window()}(q, k); }, decoder);
}

inline bool local_mask(const Place& p, Index q, Index k) {
  return p.decoder ? DecoderMask{p.config.sliding_window}(q, k) : EncoderMask{p.config.sliding_window}(q, k);
}
inline bool global_mask(const Place& p, Index q, Index k) { return !p.decoder || k <= q; }

inline void add_layer_types(Guesses& all) {
  const auto any = [](const Place&) { return true; };
  add_mask(all, "global layers have the window, too", local_mask, any);
  add_mask(all, "local layers have no window", global_mask, any);
  const auto other = [](const Place& p) {
    return p.global() ? p.config.sliding_attention : p.config.full_attention;
  };
  const auto typed = [&](const std::string& text, const MaskOf& mask, auto rope) {
    all.push_back({text, [=](Variant& v) {
                     v.mask = mask;
                     v.rope = rope;
                   }});
  };
  typed("every layer is local: its window and its RoPE", local_mask,
        [](const Place& p) { return p.config.sliding_attention; });
  typed("every layer is global: no window, and its RoPE", global_mask,
        [](const Place& p) { return p.config.full_attention; });
  typed(
      "local and global layers are exchanged",
      [](const Place& p, Index q, Index k) {
        return p.global() ? local_mask(p, q, k) : global_mask(p, q, k);
      },
      other);
}

inline void add_cross_masks(Guesses& all, Index n) {
  const auto cross = [&](const std::string& text, auto visible) {
    all.push_back({text, [visible](Variant& v) { v.cross_mask = visible; }});
  };
  cross("the encoder output is not visible", [](const Place&, Index, Index, Index) { return false; });
  cross("the encoder output is visible in global layers only",
        [](const Place& p, Index, Index, Index) { return p.global(); });
  cross("the encoder output is visible in local layers only",
        [](const Place& p, Index, Index, Index) { return !p.global(); });
  cross("the encoder output is masked causally",
        [](const Place&, Index q, Index k, Index) { return k <= q; });
  cross("the encoder output is behind the decoder's window and causal",
        [](const Place& p, Index q, Index k, Index) { return DecoderMask{p.window()}(q, k); });
  cross("the encoder output is behind the window of local layers",
        [](const Place& p, Index q, Index k, Index) { return EncoderMask{p.window()}(q, k); });
  cross(
      "the encoder output's last sliding_window tokens are visible in local layers only",
      [](const Place& p, Index, Index k, Index all_keys) { return !local(p) || k >= all_keys - p.window(); });
  for (Index cut = 1; cut < std::min<Index>(n, 65); ++cut) {
    const auto cut_off = [cut](const std::string& end) {
      return "the encoder side is truncated: its " + end +
             (cut == 1 ? " token is" : " " + std::to_string(cut) + " tokens are") + " not visible";
    };
    cross(cut_off("last"),
          [cut](const Place&, Index, Index k, Index all_keys) { return k < all_keys - cut; });
    cross(cut_off("first"), [cut](const Place&, Index, Index k, Index) { return k >= cut; });
  }
}

}  // namespace t5gemma2::guess_detail
