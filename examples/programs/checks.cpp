#include "checks.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>
#include <system_error>

#include "t5gemma2/tokenizer/utf8.hpp"
#include "words.hpp"

namespace cli {

namespace {

/// "1e+06"
std::string short_text(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

std::string complaint(const std::string& expected, const std::string& found) {
  return "expected " + expected + ", found " + found;
}

}  // namespace

Check number_in(double low, double high) {
  const std::string expected = "a number from " + short_text(low) + " to " + short_text(high);
  return [=](const std::string& given) {
    char* end = nullptr;
    const auto value = static_cast<double>(std::strtold(given.c_str(), &end));
    const bool is_number = !given.empty() && end == given.c_str() + given.size();
    return is_number && value >= low && value <= high ? std::string() : complaint(expected, given);
  };
}

Check integer_in(std::int64_t low, std::int64_t high) {
  const std::string expected = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  return [=](const std::string& given) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
    const bool is_integer = error == std::errc() && end == given.data() + given.size();
    return is_integer && value >= low && value <= high ? std::string() : complaint(expected, given);
  };
}

Check one_of(const std::vector<std::string>& words) {
  return [words](const std::string& given) {
    const bool known = std::find(words.begin(), words.end(), given) != words.end();
    return known ? std::string() : complaint("one of " + joined(words, ", "), given);
  };
}

Check utf8_text() {
  return [](const std::string& given) {
    const bool valid = t5gemma2::valid_utf8(given) == given.size();
    return valid ? std::string() : complaint("UTF-8", "other bytes");
  };
}

}  // namespace cli
