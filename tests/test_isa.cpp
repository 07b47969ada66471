// Instruction sets: their names, and how T5GEMMA2_ISA caps the choice. The probes of t5gemma2-bench.
#include "t5gemma2/kernels/isa.hpp"

#include <set>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "t5gemma2/kernels/simd.hpp"

namespace test_isa {

using namespace t5gemma2;

namespace {

constexpr Isa all_isas[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

/// What capped_isa says against this cap.
std::string complaint(const char* cap, Isa processor) {
  try {
    capped_isa(cap, processor);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("isa: each has a name of its own") {
  std::set<std::string_view> names;
  for (const Isa one : all_isas) names.insert(name_of(one));
  CHECK(names == std::set<std::string_view>{"baseline", "avx2", "avx512", "avx512_bf16", "amx"});
  CHECK(names.size() == isa_names.size());
}

TEST_CASE("isa: without a cap it is the processor's") {
  for (const Isa processor : all_isas) {
    CHECK(capped_isa(nullptr, processor) == processor);
    CHECK(capped_isa("", processor) == processor);
  }
}

TEST_CASE("isa: a cap names any that the processor has") {
  for (const Isa processor : all_isas)
    for (const Isa cap : all_isas) {
      const std::string name(name_of(cap));
      CAPTURE(name);
      if (cap <= processor)
        CHECK(capped_isa(name.c_str(), processor) == cap);
      else
        CHECK(complaint(name.c_str(), processor).find(", found " + name) != std::string::npos);
    }
}

TEST_CASE("isa: a wrong cap is refused in one line") {
  CHECK(complaint("avx2", Isa::baseline) ==
        "environment: T5GEMMA2_ISA: expected baseline on this processor, found avx2");
  for (const char* cap : {"sse2", "AVX2", "avx2 ", " ", "2"})
    CHECK(
        complaint(cap, Isa::avx512) ==
        std::string("environment: T5GEMMA2_ISA: expected baseline, avx2, avx512 on this processor, found ") +
            cap);
}

TEST_CASE("isa: the one in use is one of this processor's") { CHECK(isa() <= processor_isa()); }

TEST_CASE("isa: the probes compute what they say") {
  // Every chain goes to 2, the fixed point of x/2 + 1; their number is that of all lanes of all chains.
  const float total = simd().multiply_and_add(768 * 100, 0.5f, 1.0f);
  const int chains = static_cast<int>(total / 2);
  CHECK(total == 2.0f * static_cast<float>(chains));
  CHECK(768 % (2 * chains) == 0);
  std::vector<float> numbers(128 * 9);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 7);
  double sum = 0;
  for (const float number : numbers) sum += double{number};
  CHECK(double{simd().sum_of(std::ssize(numbers), numbers.data())} == sum);
}

}  // namespace test_isa
