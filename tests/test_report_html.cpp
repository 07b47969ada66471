// The page of a comparison: heat maps by hand, where they are, and names that try to leave their place.
#include "t5gemma2/analysis/report/report_html.hpp"

#include "fixture.hpp"

namespace test_report_html {

using namespace t5gemma2;

namespace {

HeatMap map_of(const Matrix& ours, const Matrix& theirs) {
  return difference_of(ours, theirs, Dtype::f32, 0, 0).heat_map;
}

TensorComparison compared(const std::string& name, const Matrix& ours, const Matrix& theirs,
                          Verdict verdict) {
  TensorComparison t{.name = name, .shape = {1, ours.rows(), ours.cols()}, .verdict = verdict, .found = {}};
  t.max_difference = (ours - theirs).cwiseAbs().maxCoeff();
  t.relative = t.max_difference / theirs.cwiseAbs().maxCoeff();
  t.difference = difference_of(ours, theirs, Dtype::f32, 0, 0);
  return t;
}

/// What the page's script reads.
nlohmann::json data_of(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const std::size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("report_html: a heat map has a cell for each number of a small tensor") {
  const Matrix theirs{{1, -1, 1}, {1, 1, 0}};
  Matrix ours = theirs;
  ours(0, 1) += 0.5f;
  ours(1, 0) += 2e-3f;
  ours(1, 2) = 1e-12f;
  const HeatMap map = map_of(ours, theirs);
  CHECK(map.rows == 2);
  CHECK(map.cols == 3);
  CHECK(map.rows_each == 1);
  CHECK(map.levels == std::vector<int>{-1, 38, -1, 29, -1, 0});
}

TEST_CASE("report_html: a cell of many numbers has the largest difference in it, NaN the highest level") {
  Matrix theirs = Matrix::Ones(100, 200), ours = theirs;
  ours(98, 199) += 1.1e-3f;
  ours(99, 199) += 1e-6f;
  ours(3, 3) = nan_value;
  ours(4, 4) = std::numeric_limits<float>::infinity();
  theirs(50, 0) = nan_value;
  const HeatMap map = map_of(ours, theirs);
  CHECK(map.rows_each == 3);
  CHECK(map.cols_each == 3);
  CHECK(map.rows == 34);
  CHECK(map.cols == 67);
  CHECK(map.levels.size() == 34 * 67);
  CHECK(map.levels[32 * 67 + 66] == 28);  // rows 96 to 98
  CHECK(map.levels[33 * 67 + 66] == 15);
  CHECK(map.levels[1 * 67 + 1] == 39);
  CHECK(map.levels[16 * 67] == 39);
  CHECK(std::count(map.levels.begin(), map.levels.end(), -1) == 34 * 67 - 4);
}

TEST_CASE("report_html: differences from zeros have the highest level and bar, equal zeros none") {
  const Matrix theirs = Matrix::Zero(1, 3), ours{{0, 1e-20f, 0}};
  const Difference d = difference_of(ours, theirs, Dtype::f32, 0, 0);
  CHECK(d.heat_map.levels == std::vector<int>{-1, 39, -1});
  CHECK(d.histogram.front() == 2);
  CHECK(d.histogram.back() == 1);
}

TEST_CASE(
    "report_html: heat maps are in the page alone, of what is wrong or, where nothing is, differs most") {
  const Matrix theirs = Matrix::Ones(2, 2), near{{1, 1.00001f}, {1, 1}}, far{{1, 1}, {2, 1}};
  Comparison c;
  c.tensors = {compared("same", theirs, theirs, Verdict::ok), compared("near", near, theirs, Verdict::ok)};
  nlohmann::json tensors = data_of(report_html(c))["tensors"];
  CHECK(!tensors[0].contains("heat_map"));
  CHECK(tensors[1]["heat_map"]["cells"] == nlohmann::json{".k", ".."});
  c.tensors.push_back(compared("far", far, theirs, Verdict::over_tolerance));
  tensors = data_of(report_html(c))["tensors"];
  CHECK(!tensors[1].contains("heat_map"));
  CHECK(tensors[2]["heat_map"]["cells"] == nlohmann::json{"..", "D."});
  CHECK(tensors[2]["heat_map"]["axes"] == nlohmann::json{"text", "token", "feature"});
  c.tensors[1].wrong_by_itself = true;
  CHECK(data_of(report_html(c))["tensors"][1].contains("heat_map"));
  CHECK(report_json(c).dump().find("heat_map") == std::string::npos);
}

TEST_CASE("report_html: no name ends the data or is taken for a part of the page") {
  const std::string ordinary = "name", hostile = "</script><!--<script>{{style}}\xff";
  const auto page_with = [](const std::string& name) {
    Comparison c;
    c.tensors = {compared(name, Matrix::Ones(1, 1), Matrix::Ones(1, 1), Verdict::ok)};
    c.not_in_file = {name};
    return report_html(c);
  };
  const std::string expected = page_with(ordinary), page = page_with(hostile);
  for (const std::string part : {"</script", "<script", "<!--", ":root"})
    CHECK(count_of(page, part) == count_of(expected, part));
  CHECK(data_of(page)["not_in_file"][0] == "</script><!--<script>{{style}}\xef\xbf\xbd");
  CHECK(page.find("{{style}}") != page.npos);
}

}  // namespace test_report_html
