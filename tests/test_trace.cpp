// Taps: names, shapes and values as the reference's hooks give them; nothing when nobody listens.
#include "t5gemma2/trace.hpp"

#include "fixture.hpp"

namespace test_trace {

using namespace t5gemma2;

namespace {

struct Report {
  std::string name;
  std::vector<Index> shape;
  std::vector<float> values;
};

/// Keeps every call, with the shape.
struct Listener {
  std::vector<Report> reports;
  Trace trace{
      .report = [this](const std::string& name, const std::vector<Index>& shape, const float* values) {
        Index size = 1;
        for (const Index extent : shape) size *= extent;
        reports.push_back({name, shape, std::vector<float>(values, values + size)});
      }};
};

}  // namespace

TEST_CASE("trace: a null tap passes the very matrix on, without a copy, and wants nothing") {
  const Tap tap = Tap() / "model" / Index{3};
  Matrix x = random_matrix(4, 6, 1);
  const float* numbers = x.data();
  x = tap("q_proj", std::move(x));
  CHECK(x.data() == numbers);
  x = tap.heads("q_norm", 2, std::move(x));
  CHECK(x.data() == numbers);
  tap.stacked("weights", 2, x);
  CHECK(!tap.wants("weights"));
}

TEST_CASE("trace: a name is the path of the modules, joined by points") {
  Listener listener;
  const Tap root(listener.trace);
  const Matrix x = random_matrix(1, 1, 1);
  root("logits", x);
  (root / "model" / "layers" / Index{12})("", x);
  (root / "model" / "layers" / Index{12} / "self_attn")("k_proj[1]", x);
  REQUIRE(listener.reports.size() == 3);
  CHECK(listener.reports[0].name == "logits");
  CHECK(listener.reports[1].name == "model.layers.12");
  CHECK(listener.reports[2].name == "model.layers.12.self_attn.k_proj[1]");
}

TEST_CASE("trace: a matrix is reported as [1, rows, cols] and passed on as it is") {
  Listener listener;
  const Matrix x{{1, 2, 3}, {4, 5, 6}};
  CHECK(same_bits(Tap(listener.trace)("x", x), x));
  REQUIRE(listener.reports.size() == 1);
  CHECK(listener.reports[0].shape == std::vector<Index>{1, 2, 3});
  CHECK(listener.reports[0].values == std::vector<float>{1, 2, 3, 4, 5, 6});
}

TEST_CASE(
    "trace: heads are reported one after the other, [1, heads, rows, size], and passed on side by side") {
  Listener listener;
  const Matrix x{{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}};
  CHECK(same_bits(Tap(listener.trace).heads("q_norm", 3, x), x));
  REQUIRE(listener.reports.size() == 1);
  CHECK(listener.reports[0].shape == std::vector<Index>{1, 3, 2, 2});
  CHECK(listener.reports[0].values == std::vector<float>{1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12});
}

TEST_CASE("trace: stacked heads keep their order") {
  Listener listener;
  Tap(listener.trace).stacked("weights", 2, Matrix{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}});
  REQUIRE(listener.reports.size() == 1);
  CHECK(listener.reports[0].shape == std::vector<Index>{1, 2, 2, 3});
  CHECK(listener.reports[0].values == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

TEST_CASE("trace: wants asks the listener by the full name") {
  std::vector<std::string> asked;
  const Trace trace{.report = [](const auto&, const auto&, const float*) {},
                    .wants =
                        [&](const std::string& name) {
                          asked.push_back(name);
                          return name.ends_with("cross_weights");
                        }};
  const Tap tap = Tap(trace) / "layers" / Index{0};
  CHECK(!tap.wants("weights"));
  CHECK(tap.wants("cross_weights"));
  CHECK(asked == std::vector<std::string>{"layers.0.weights", "layers.0.cross_weights"});
}

}  // namespace test_trace
