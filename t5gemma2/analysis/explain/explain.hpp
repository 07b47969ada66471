// Why a file's tensors differ: each is computed once more from the file's own tensors before it (recomputation.hpp).
// What then differs is wrong by itself, not because of what came before. On the first of these the guesses (guesses.hpp)
// are tried, in every scope (scopes.hpp): one that makes the numbers agree is the reason. Where none does, the tensor may
// still be related to ours (relations.hpp).
#pragma once
#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../../progress.hpp"
#include "evidence.hpp"
#include "guesses.hpp"
#include "reasons.hpp"
#include "seen_mask.hpp"

namespace t5gemma2 {

/// The longest texts that are explained: plain attention holds all scores of a layer at once.
inline constexpr Index longest_explained = 2048;

/// Guesses about large models take long: after this no more are tried.
inline constexpr std::chrono::seconds longest_search{30};

namespace explain_detail {

class Explainer {
 public:
  Explainer(const Model& model, const PassInputs& inputs, const StoredTensors& file, const Progress& progress)
      : own_(model, inputs, file), progress_(progress), all_(guesses(model, std::ssize(inputs.ids))) {}

  Explanation run() {
    Explanation result;
    result.own_errors = own_.errors(result.wrong);
    std::vector<std::string> wrong = result.wrong.empty() ? suspicious(result.own_errors) : result.wrong;
    while (!wrong.empty() && std::ssize(result.reasons) < most_reasons) {
      const Evidence first = evidence(own_, wrong.front());
      std::optional<Reason> reason;
      if (first.shape != first.their_shape) reason = by_relation(first, wrong);
      if (!reason) reason = by_guess(all_, wrong);
      if (!reason) reason = by_seen_mask(wrong);
      if (!reason) reason = by_relation(first, wrong);
      if (!reason) break;
      result.reasons.push_back(std::move(*reason));
    }
    result.tried = tried_;
    return result;
  }

 private:
  static constexpr Index most_reasons = 4, most_candidates = 4;

  /// Small errors add up from layer to layer: where none alone is too large, the largest, if it is more than rounding.
  static std::vector<std::string> suspicious(const std::map<std::string, float>& errors) {
    const auto largest = std::ranges::max_element(errors, {}, [](const auto& entry) { return entry.second; });
    if (largest == errors.end() || !(largest->second > 5e-6f)) return {};
    return {largest->first};
  }

  /// What the first wrong tensor is to ours; all wrong tensors for which that holds, too, are explained.
  std::optional<Reason> by_relation(const Evidence& first, std::vector<std::string>& wrong) {
    const auto text = relation(own_, first);
    if (!text) return {};
    std::erase_if(wrong, [&](const std::string& name) {
      const auto also = relation(own_, evidence(own_, name));
      return name == first.name ||
             (also && also->substr(0, also->find(':')) == text->substr(0, text->find(':')));
    });
    hide_truncated(*text, wrong);
    return Reason{.tensor = first.name, .text = *text, .where = "", .still_wrong = std::ssize(wrong)};
  }

  /// Where tokens of the encoder side are not there, they are not visible either: what that explains is not wrong.
  void hide_truncated(std::string text, std::vector<std::string>& wrong) {
    const std::size_t there = text.find(" not there");
    if (!text.starts_with("the encoder side is truncated") || there == std::string::npos) return;
    text.replace(there, std::string::npos, " not visible");
    for (const Guess& guess : all_)
      if (guess.text == text) own_.accepted().add(guess, everywhere());
    std::vector<std::string> left;
    own_.errors(left);
    std::erase_if(wrong, [&](const std::string& name) {
      return name.ends_with("cross_weights") || std::ranges::find(left, name) == left.end();
    });
  }

  struct Candidate {
    const Guess* guess;
    float error;
  };

  float error_with(const Guess& guess, const Scope& scope, const std::string& tensor) {
    own_.accepted().add(guess, scope);
    const float error = own_.error_of(tensor);
    own_.accepted().pop();
    return error;
  }

  /// Guesses that make the tensor agree in a scope.
  std::vector<Candidate> candidates(const Guesses& all, const std::string& tensor, const Scope& scope) {
    const float before = own_.error_of(tensor), allowed = own_tolerance(tensor, own_.file().at(tensor).dtype);
    std::vector<Candidate> found;
    for (std::size_t i = 0; i < all.size() && !is_late(); ++i) {
      tried_ = std::max(tried_, static_cast<Index>(i) + 1);
      if (progress_) progress_(static_cast<Index>(i), std::ssize(all));
      const float error = error_with(all[i], scope, tensor);
      if (error <= allowed && 4 * error <= before) found.push_back({&all[i], error});
    }
    if (progress_) progress_(std::ssize(all), std::ssize(all));
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.error < b.error; });
    if (std::ssize(found) > most_candidates) found.resize(most_candidates);
    return found;
  }

  /// Those in the widest scope that has any. A scope matters where other steps than the tensor's own have a part in it.
  std::vector<Candidate> candidates(const Guesses& all, const std::string& tensor) {
    const TensorName name = parse_name(tensor);
    static const std::set<std::string> of_several{"",          "weights", "cross_weights", "o_proj",
                                                  "self_attn", "mlp",     "down_proj"};
    const bool alone = name.in_layer && !of_several.contains(name.step);
    for (const Scope& scope : scopes(name)) {
      if (!scope.text.empty() && (alone || !is_cheap(name))) break;
      std::vector<Candidate> found = candidates(all, tensor, scope);
      if (!found.empty()) return found;
    }
    return {};
  }

  /// Whether a pass to the tensor may be run a thousand times.
  bool is_cheap(const TensorName& name) const {
    const auto& layers = own_.model().decoder.layers;
    const Index n = std::ssize(own_.inputs().ids), rows = n + std::ssize(own_.inputs().decoder_ids);
    const double passed = name.in_layer ? 1 : 2 * static_cast<double>(layers.size());
    return token_flops(layers[0], n) * static_cast<double>(rows) * passed < 1e8;
  }

  struct Best {
    Candidate candidate;
    Scope scope;
    std::vector<std::string> wrong;
  };

  /// The guess, in its scope, that leaves the fewest tensors wrong; accepts it, and says what is left.
  std::optional<Reason> by_guess(const Guesses& all, std::vector<std::string>& wrong) {
    const std::string tensor = wrong.front();
    std::vector<Best> best;
    for (const Candidate& candidate : candidates(all, tensor))
      for (const Scope& scope : scopes(parse_name(tensor))) {
        const float error = error_with(*candidate.guess, scope, tensor);
        if (own_.is_wrong(tensor, error)) continue;
        best.push_back({{candidate.guess, error}, scope, {}});
        own_.accepted().add(*candidate.guess, scope);
        own_.errors(best.back().wrong);
        own_.accepted().pop();
        if (best.back().wrong.empty()) break;
      }
    if (best.empty()) return {};
    const auto order = [](const Best& x) {
      return std::tuple(x.wrong.size(), !x.scope.text.empty(), x.candidate.guess);
    };
    std::stable_sort(best.begin(), best.end(),
                     [&](const Best& a, const Best& b) { return order(a) < order(b); });
    return accept(best, tensor, wrong);
  }

  /// The same with the mask that the file's softmax weights show.
  std::optional<Reason> by_seen_mask(std::vector<std::string>& wrong) {
    const auto mask = seen_mask(own_.file(), wrong.front());
    return mask ? by_guess({*mask}, wrong) : std::nullopt;
  }

  Reason accept(const std::vector<Best>& best, const std::string& tensor, std::vector<std::string>& wrong) {
    const Best& first = best.front();
    const Guess& guess = *first.candidate.guess;
    Reason reason{tensor,
                  guess.text,
                  first.scope.text,
                  first.candidate.error,
                  own_.error_of(tensor),
                  std::ssize(first.wrong)};
    for (const Best& other : best) {
      const std::string& text = other.candidate.guess->text;
      const bool as_good = other.wrong.size() == first.wrong.size() && text != guess.text;
      if (as_good && std::ranges::find(reason.others, text) == reason.others.end())
        reason.others.push_back(text);
    }
    own_.accepted().add(guess, first.scope);
    wrong = first.wrong;
    return reason;
  }

  static std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }
  bool is_late() const { return now() - begun_ > longest_search; }

  Recomputation own_;
  const Progress& progress_;
  Guesses all_;
  Index tried_ = 0;
  std::chrono::steady_clock::time_point begun_ = now();
};

}  // namespace explain_detail

/// The errors that the file's tensors make by themselves, and the reasons that were found for them. Progress counts
/// guesses. Throws as encode and forward do.
inline Explanation explain(const Model& model, const PassInputs& inputs, const StoredTensors& file,
                           const Progress& progress = {}) {
  if (std::ssize(inputs.ids) + std::ssize(inputs.decoder_ids) > longest_explained) return {};
  return explain_detail::Explainer(model, inputs, file, progress).run();
}

}  // namespace t5gemma2
