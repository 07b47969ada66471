// Checks of the values of flags.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cli {

/// Says what is wrong with the text of a value; empty when nothing is.
using Check = std::function<std::string(const std::string&)>;

/// Accepts finite numbers within [low, high].
Check number_in(double low, double high);

/// Accepts whole numbers within [low, high], written in digits with an optional minus sign.
Check integer_in(std::int64_t low, std::int64_t high);

/// Accepts only these words.
Check one_of(const std::vector<std::string>& words);

/// Accepts only UTF-8.
Check utf8_text();

}  // namespace cli
