// The page of t5gemma2-look: a template with the data in it, as JSON.
#pragma once
#include <stb_image_write.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "look_weights.hpp"
#include "t5gemma2/image/resize.hpp"
#include "t5gemma2/score.hpp"

namespace look {

using Json = nlohmann::ordered_json;

constexpr Index predictions_shown = 5;  // the likeliest tokens in the place of each

inline std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;  // three bytes, four digits
    for (std::size_t j = i; j < i + 3; ++j)
      group = group << 8 | (j < bytes.size() ? std::to_integer<unsigned>(bytes[j]) : 0);
    for (std::size_t digit = 0; digit < 4; ++digit)
      text += i + digit > bytes.size() ? '=' : digits[group >> (18 - 6 * digit) & 63];
  }
  return text;
}

/// The image as a JPEG in a data: address, its longer side at most `longest` pixels.
inline Json image_json(const Image& image, Index longest) {
  const Index longer = std::max(image.width, image.height);
  const auto scaled = [&](Index side) { return std::max<Index>(1, side * longest / longer); };
  const Image small = longer > longest ? resize(image, scaled(image.width), scaled(image.height)) : image;
  std::vector<std::byte> jpeg;
  const auto append = [](void* to, void* data, int size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(to)->insert(static_cast<std::vector<std::byte>*>(to)->end(), bytes,
                                                     bytes + size);
  };
  constexpr int quality = 88;
  stbi_write_jpg_to_func(append, &jpeg, static_cast<int>(small.width), static_cast<int>(small.height), 3,
                         small.rgb.data(), quality);
  return {
      {"width", small.width}, {"height", small.height}, {"source", "data:image/jpeg;base64," + base64(jpeg)}};
}

/// The pieces of `ids`; all tokens of an image are the same id, so it is given once.
inline Json pieces_json(std::span<const Piece> pieces, std::span<const TokenId> ids) {
  constexpr const char* kinds[] = {"text", "special", "image"};
  Json list = Json::array();
  for (const Piece& piece : pieces) {
    const Index shown = piece.kind == PieceKind::image ? 1 : piece.size;
    const auto own = ids.subspan(static_cast<std::size_t>(piece.first), static_cast<std::size_t>(shown));
    list.push_back({{"kind", kinds[static_cast<int>(piece.kind)]},
                    {"text", piece.text},
                    {"first", piece.first},
                    {"size", piece.size},
                    {"ids", std::vector<TokenId>(own.begin(), own.end())}});
  }
  return list;
}

inline Json prediction_json(const Tokenizer* tokenizer, const TokenScore& score) {
  const auto likely = [&](const LikelyToken& token) {
    return Json{{"text", token_text(tokenizer, token.id)},
                {"id", token.id},
                {"probability", static_cast<float>(std::exp(token.logprob))}};
  };
  Json json = likely(score.token);
  json["rank"] = score.rank;
  json["best"] = Json::array();
  for (const LikelyToken& token : score.best) json["best"].push_back(likely(token));
  return json;
}

/// The predictions of the tokens of `words`, word by word.
inline Json predictions_json(const Tokenizer* tokenizer, std::span<const Piece> words,
                             std::span<const TokenScore> predictions) {
  Json list = Json::array();
  for (const Piece& word : words) {
    Json tokens = Json::array();
    for (Index i = word.first - words[0].first; i < word.end() - words[0].first; ++i)
      tokens.push_back(prediction_json(tokenizer, predictions[static_cast<std::size_t>(i)]));
    list.push_back(tokens);
  }
  return list;
}

inline Json layers_json(const TextConfig& decoder) {
  Json list = Json::array();
  for (const LayerType type : decoder.layer_types)
    list.push_back(type == LayerType::full_attention ? "global" : "local");
  return list;
}

inline Json weights_json(const Weights& weights) {
  const Weights::Packed packed = weights.pack();
  return {{"parts", weights.parts()},
          {"sums", base64(std::as_bytes(std::span(packed.sums)))},  // float32, little endian
          {"levels", base64(std::as_bytes(std::span(packed.levels)))}};
}

/// The template with `data` in the place of {{data}}; '<' is escaped, so that no text ends the
/// script element.
inline std::string fill_in(std::string_view page, const Json& data) {
  const std::string_view place = "{{data}}";
  const std::size_t at = page.find(place);
  std::string filled(page.substr(0, at));
  for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace))
    c == '<' ? filled += "\\u003c" : filled += c;
  return filled += page.substr(at + place.size());
}

}  // namespace look
