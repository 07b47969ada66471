#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

namespace test_reading_guide {

namespace {

const std::filesystem::path root = std::filesystem::path(T5GEMMA2_TEST_DATA) / "../..";

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The cells of a table row "| a | b |".
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  for (std::size_t at = line.find("| "), end; (end = line.find(" |", at + 1)) != line.npos; at = end + 1)
    cells.push_back(line.substr(at + 2, end - at - 2));
  return cells;
}

std::vector<std::string> in_backticks(const std::string& text) {
  static const std::regex code("`([^`]+)`");
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), code), end; at != end; ++at)
    found.push_back((*at)[1]);
  return found;
}

std::vector<std::vector<std::string>> rows_of_the_guide() {
  std::ifstream guide(root / "docs/reading_guide.md");
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(guide, line);)
    if (line.starts_with("| §")) rows.push_back(cells_of(line));
  return rows;
}

/// The text of all test files in a folder.
std::string tests_in(const std::filesystem::path& folder) {
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("test_")) all += content_of(entry.path());
  return all;
}

}  // namespace

TEST_CASE("reading guide: every function stands in the header that is named") {
  const auto rows = rows_of_the_guide();
  REQUIRE(rows.size() >= 19);
  for (const auto& row : rows) {
    REQUIRE(row.size() >= 4);
    const std::vector<std::string> names = in_backticks(row[2]);
    REQUIRE(!names.empty());
    if (names[0] == "weights_tool adapt") continue;
    CAPTURE(names[0]);
    const std::string header = content_of(root / "t5gemma2" / names[0]);
    REQUIRE(!header.empty());
    REQUIRE(names.size() >= 2);
    for (std::size_t i = 1; i < names.size(); ++i) {
      CAPTURE(names[i]);
      CHECK(std::regex_search(
          header, std::regex("(inline [^;{]*|struct |class |\\n\\w[^;{\\n]* )" + names[i] + "\\b")));
    }
  }
}

TEST_CASE("reading guide: every test that is named exists") {
  const std::string tests = tests_in(root / "tests") + tests_in(root / "weights_tool/tests");
  for (const auto& row : rows_of_the_guide()) {
    CAPTURE(row[3]);
    const bool found =
        tests.find("\"" + row[3] + "\"") != tests.npos || tests.find("def " + row[3] + "(") != tests.npos;
    CHECK(found);
  }
}

}  // namespace test_reading_guide
