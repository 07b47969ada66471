// Words in messages: lists of them, and the word that a wrong one is close to.
#pragma once
#include <string>
#include <vector>

namespace cli {

/// "true, false, never"
std::string joined(const std::vector<std::string>& words, const std::string& separator);

/// "; did you mean NEAREST?"; empty when none of `words` is close.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& words);

}  // namespace cli
