#include "words.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

namespace cli {

namespace {

/// The edit distance: how many letters to insert, delete, replace or swap with their neighbour to turn one
/// word into the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      next[j + 1] = std::min({row[j + 1] + 1, next[j] + 1, row[j] + (a[i] == b[j] ? 0U : 1U)});
      const bool swapped = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
      if (swapped) next[j + 1] = std::min(next[j + 1], before[j - 1] + 1);
    }
    before = std::exchange(row, next);
  }
  return row.back();
}

}  // namespace

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : separator) + word;
  return all;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& words) {
  const auto far = [&](const std::string& other) { return distance(word, other); };
  const auto nearest = std::min_element(words.begin(), words.end(),
                                        [&](const auto& a, const auto& b) { return far(a) < far(b); });
  constexpr std::size_t shortest = 3;  // -f is close to every other letter
  const bool close = word.size() >= shortest && nearest != words.end() &&
                     far(*nearest) <= std::max<std::size_t>(1, word.size() / 3);
  return close ? "; did you mean " + *nearest + "?" : "";
}

}  // namespace cli
