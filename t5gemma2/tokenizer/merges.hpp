// The merges of a tokenizer.json as SentencePiece scores. The two libraries choose the next
// merge differently:
//
//   tokenizers      the pair (left, right) that stands first in the list of merges
//   SentencePiece   any pair whose joined text is a piece, the piece with the highest score first
//
// Both take the leftmost of equals. They agree when the list holds every pair that makes a piece, and all
// pairs of a piece side by side: then score = -(rank of the piece's first pair). Gemma's list is of this
// kind, except for its runs of white space (one character 2 to 31 times), whose pairs are not side by
// side; the libraries agree on these, too, since a run grows from its left end in either order. Any other
// list is refused. Reference: tokenizers src/models/bpe/word.rs Word::merge_all, sentencepiece
// src/bpe_model.cc Model::SampleEncode.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../io/json_fields.hpp"
#include "utf8.hpp"
#include "vocabulary.hpp"

namespace t5gemma2 {

/// The list of merges in compact form: half a million pairs in 12 MB.
class Merges {
 public:
  struct Pair {
    std::string_view left, right, joined;
  };

  void add(std::string_view left, std::string_view right) {
    ends_.push_back({text_.size() + left.size(), text_.size() + left.size() + right.size()});
    text_.append(left).append(right);
  }

  std::size_t size() const { return ends_.size(); }

  Pair operator[](std::size_t i) const {
    const std::size_t start = i == 0 ? 0 : ends_[i - 1].right;
    const std::string_view joined = std::string_view(text_).substr(start, ends_[i].right - start);
    const std::size_t left = ends_[i].left - start;
    return {joined.substr(0, left), joined.substr(left), joined};
  }

 private:
  struct Ends {
    std::size_t left, right;
  };
  std::string text_;
  std::vector<Ends> ends_;
};

namespace merges_detail {

/// A pair as a number: the id of the piece that it makes (upper half) and the bytes of its left part. Pairs
/// are sorted by this id first.
inline std::uint64_t key(TokenId piece, std::size_t left) {
  return static_cast<std::uint64_t>(piece) << 32 | static_cast<std::uint32_t>(left);
}

/// Whether `text` is one character, repeated.
inline bool is_run(std::string_view text) {
  const std::size_t size = utf8_character(text);
  return size > 0 && text.substr(size) == text.substr(0, text.size() - size);
}

/// Makes each piece that the list merges normal, with its score, and returns the listed pairs, sorted.
inline std::vector<std::uint64_t> score_merged_pieces(std::vector<Piece>& pieces, const PieceIds& ids,
                                                      const Merges& merges, const std::string& file) {
  std::vector<std::uint64_t> listed;
  listed.reserve(merges.size());
  TokenId previous = -1;
  int scored = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const Merges::Pair pair = merges[i];
    const std::string where = "model.merges[" + std::to_string(i) + "]";
    const auto merged = ids.find(pair.joined);
    if (merged == ids.end())
      fail(file, where, "a pair that makes a piece of model.vocab", in_quotes(pair.joined));
    Piece& piece = pieces[static_cast<std::size_t>(merged->second)];
    if (piece.type == PieceType::control) {
      piece.type = PieceType::normal;
      piece.score = static_cast<float>(-scored++);
    } else if (merged->second != previous && !is_run(pair.joined)) {
      fail(file, where, "all pairs that make " + in_quotes(pair.joined) + " side by side",
           "another between them");
    }
    previous = merged->second;
    listed.push_back(key(merged->second, pair.left.size()));
  }
  std::ranges::sort(listed);
  return listed;
}

/// Every pair of normal pieces that makes a normal piece, sorted. Throws std::invalid_argument when a piece
/// is not UTF-8.
inline std::vector<std::uint64_t> all_pairs(const std::vector<Piece>& pieces, const PieceIds& ids) {
  const auto is_normal = [&](std::string_view text) {
    const auto id = ids.find(text);
    return id != ids.end() && pieces[static_cast<std::size_t>(id->second)].type == PieceType::normal;
  };
  std::vector<std::uint64_t> pairs;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type != PieceType::normal) continue;
    const std::string_view text = pieces[id].text;
    check_argument(valid_utf8(text) == text.size(), "text of a piece", "UTF-8", "other bytes");
    for (std::size_t left = utf8_character(text); left < text.size();
         left += utf8_character(text.substr(left))) {
      if (is_normal(text.substr(0, left)) && is_normal(text.substr(left))) {
        pairs.push_back(key(static_cast<TokenId>(id), left));
      }
    }
  }
  return pairs;
}

}  // namespace merges_detail

/// Makes normal those control pieces that text can become: single characters and the pieces that `merges`
/// make. `ids` are those of `pieces`. Throws Error naming the first merge that SentencePiece cannot follow.
inline void apply_merges(std::vector<Piece>& pieces, const PieceIds& ids, const Merges& merges,
                         const std::string& file) {
  using namespace merges_detail;
  const std::vector<std::uint64_t> listed = score_merged_pieces(pieces, ids, merges, file);
  for (Piece& piece : pieces) {
    if (piece.type == PieceType::control && is_one_character(piece.text)) piece.type = PieceType::normal;
  }
  const std::vector<std::uint64_t> all = all_pairs(pieces, ids);
  const auto [found, expected] = std::ranges::mismatch(listed, all);
  if (found == listed.end() && expected == all.end()) return;

  const bool missing = found == listed.end() || (expected != all.end() && *expected < *found);
  const std::uint64_t pair = missing ? *expected : *found;
  const std::string& text = pieces[pair >> 32].text;
  const std::size_t left = pair & 0xFFFFFFFF;
  fail(file, "model.merges", "every pair of pieces that makes a piece, once",
       in_quotes(text.substr(0, left)) + " and " + in_quotes(text.substr(left)) +
           (missing ? " missing" : " twice, or not such pieces"));
}

}  // namespace t5gemma2
