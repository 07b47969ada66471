// Who sees whom: pictures drawn by hand, and the ranges that attention may pass over.
#include "t5gemma2/mask.hpp"

#include "fixture.hpp"

namespace test_mask {

using namespace t5gemma2;

namespace {

/// The mask over [queries, keys] as in mask.hpp's pictures, a line per query.
template <class Mask>
std::string picture(const Mask& mask, Index queries, Index keys) {
  std::string text;
  for (Index query = 0; query < queries; ++query) {
    for (Index key = 0; key < keys; ++key) text += mask(query, key) ? 'x' : '.';
    text += '\n';
  }
  return text;
}

/// Where visible_keys(mask, first, last, keys) leaves out a visible key, or begins or ends with one that no
/// row of it sees.
template <class Mask>
std::string not_tight(const Mask& mask, Index queries, Index keys) {
  std::string wrong;
  for (Index first = 0; first < queries; ++first)
    for (Index last = first; last < queries; ++last) {
      Index begin = keys, end = 0;
      for (Index query = first; query <= last; ++query)
        for (Index key = 0; key < keys; ++key)
          if (mask(query, key)) begin = std::min(begin, key), end = std::max(end, key + 1);
      const KeyRange range = visible_keys(mask, first, last, keys);
      if (range.begin != begin || range.end != end)
        wrong += " " + std::to_string(first) + ".." + std::to_string(last) + " of " + std::to_string(keys);
    }
  return wrong;
}

/// Where all_visible(mask, first, last, range) is true although some query does not see some key of the range, or
/// false although `exact` and each sees all.
template <class Mask>
std::string not_all(const Mask& mask, Index queries, Index keys, bool exact = true) {
  std::string wrong;
  for (Index first = 0; first < queries; ++first)
    for (Index begin = 0; begin < keys; ++begin)
      for (Index last = first; last < queries; ++last)
        for (Index end = begin + 1; end <= keys; ++end) {
          bool all = true;
          for (Index query = first; query <= last; ++query)
            for (Index key = begin; key < end; ++key) all = all && mask(query, key);
          const bool claimed = all_visible(mask, first, last, {begin, end});
          if (claimed ? !all : exact && all)
            wrong += " " + std::to_string(first) + ".." + std::to_string(last) + " [" +
                     std::to_string(begin) + ", " + std::to_string(end) + ")";
        }
  return wrong;
}

}  // namespace

TEST_CASE("mask: the encoder sees half the window to each side, even windows one more ahead") {
  CHECK(picture(EncoderMask{4}, 6, 6) ==
        "xxx...\n"
        "xxxx..\n"
        ".xxxx.\n"
        "..xxxx\n"
        "...xxx\n"
        "....xx\n");
  CHECK(picture(EncoderMask{2}, 4, 4) ==
        "xx..\n"
        ".xx.\n"
        "..xx\n"
        "...x\n");
}

TEST_CASE("mask: the encoder with an odd window sees as far back as ahead") {
  CHECK(picture(EncoderMask{5}, 6, 6) ==
        "xxx...\n"
        "xxxx..\n"
        "xxxxx.\n"
        ".xxxxx\n"
        "..xxxx\n"
        "...xxx\n");
  CHECK(picture(EncoderMask{3}, 4, 4) ==
        "xx..\n"
        "xxx.\n"
        ".xxx\n"
        "..xx\n");
  CHECK(picture(EncoderMask{1}, 3, 3) ==
        "x..\n"
        ".x.\n"
        "..x\n");
}

TEST_CASE("mask: the decoder sees itself and the tokens before it, `window` in all") {
  CHECK(picture(DecoderMask{1}, 3, 3) ==
        "x..\n"
        ".x.\n"
        "..x\n");
  CHECK(picture(DecoderMask{2}, 4, 4) ==
        "x...\n"
        "xx..\n"
        ".xx.\n"
        "..xx\n");
  CHECK(picture(DecoderMask{5}, 7, 7) ==
        "x......\n"
        "xx.....\n"
        "xxx....\n"
        "xxxx...\n"
        "xxxxx..\n"
        ".xxxxx.\n"
        "..xxxxx\n");
}

TEST_CASE("mask: merged attention sees the decoder's window and all of the encoder") {
  CHECK(picture(MergedMask{4, 5}, 5, 8) ==
        "x....xxx\n"
        "xx...xxx\n"
        "xxx..xxx\n"
        "xxxx.xxx\n"
        ".xxxxxxx\n");
  CHECK(picture(MergedMask{no_window, 3}, 3, 3) ==
        "x..\n"
        "xx.\n"
        "xxx\n");
}

TEST_CASE("mask: global layers have no window") {
  for (const Index query : {0, 1, 5000, 131071}) {
    CHECK(EncoderMask{no_window}(query, 131071));
    CHECK(EncoderMask{no_window}(131071, query));
    CHECK(DecoderMask{no_window}(131071, query));
    CHECK(DecoderMask{no_window}(query, 131071) == (query == 131071));
    CHECK(AllVisible{}(query, 131071));
  }
}

TEST_CASE("mask: window_of is sliding_window in local layers and no_window in global ones") {
  TextConfig config;
  config.sliding_window = 7;
  CHECK(window_of(config, LayerType::sliding_attention) == 7);
  CHECK(window_of(config, LayerType::full_attention) == no_window);
}

TEST_CASE("mask: visible_keys never leaves out a visible key, and is no wider than it must be") {
  for (const Index window :
       {Index{1}, Index{2}, Index{3}, Index{4}, Index{5}, Index{6}, Index{7}, Index{8}, Index{9}, no_window})
    for (Index size = 1; size <= 20; ++size) {
      CAPTURE(window);
      CHECK(not_tight(EncoderMask{window}, size, size) == "");
      CHECK(not_tight(DecoderMask{window}, size, size) == "");
      for (const Index n : {0, 1, 3, 9}) CHECK(not_tight(MergedMask{window, size}, size, size + n) == "");
      CHECK(not_tight(AllVisible{}, size, size) == "");
    }
}

TEST_CASE("mask: all_visible is true exactly where every query sees every key, in ranges of any size") {
  for (const Index window : {Index{1}, Index{2}, Index{3}, Index{4}, Index{5}, Index{6}, Index{7}, no_window})
    for (const Index size : {1, 2, 9}) {
      CAPTURE(window);
      CAPTURE(size);
      CHECK(not_all(EncoderMask{window}, size, size) == "");
      CHECK(not_all(DecoderMask{window}, size, size) == "");
      CHECK(not_all(AllVisible{}, size, size) == "");
      // A range that holds keys of both sides may be left to the mask.
      for (const Index n : {0, 1, 3}) CHECK(not_all(MergedMask{window, size}, size, size + n, n == 0) == "");
    }
}

TEST_CASE("mask: all_visible says so of ranges inside a window, and of the encoder side") {
  CHECK(all_visible(EncoderMask{512}, 1000, 1095, {896, 1024}));
  CHECK_FALSE(all_visible(EncoderMask{512}, 1000, 1095, {768, 896}));
  CHECK(all_visible(DecoderMask{512}, 1000, 1095, {640, 768}));
  CHECK_FALSE(all_visible(DecoderMask{512}, 1000, 1095, {896, 1024}));
  CHECK(all_visible(MergedMask{4, 500}, 0, 499, {500, 628}));
  CHECK(all_visible(DecoderMask{no_window}, 131071, 131071, {0, 131072}));
}

TEST_CASE("mask: the size of a range of keys is never below 0") {
  CHECK(KeyRange{2, 7}.size() == 5);
  CHECK(KeyRange{3, 3}.size() == 0);
  CHECK(KeyRange{5, 3}.size() == 0);
}

}  // namespace test_mask
