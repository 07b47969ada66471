// t5gemma2-bench: the time of every kernel and every step, beside what this machine could do at most.
#include <fnmatch.h>
#include <omp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench_cases.hpp"
#include "bench_measure.hpp"
#include "bench_model.hpp"
#include "common_flags.hpp"
#include "files.hpp"
#include "programs.hpp"
#include "t5gemma2/io/atomic_file.hpp"
#include "t5gemma2/version.hpp"

namespace bench_program {

struct Flags {
  cli::ModelName model;
  std::string dtype = "float32";
  std::optional<std::string> only, json;
  std::int64_t repeats = 5;
  bool long_ones = false, quiet = false;
  int threads = 1;
};

/// Where /proc/cpuinfo names none, the architecture.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (const auto colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos)
      return line.substr(colon + 2);
  utsname system{};
  return uname(&system) == 0 ? system.machine : "unknown processor";
}

// ---- what is printed ----

struct Report {
  std::string processor, isa, model, precision;
  std::int64_t repeats;
  std::vector<Most> most;  // with 1 thread, and with all
  Cases cases;
  std::vector<Times> times;  // [cases]
};

std::string rate_text(const Case& c, const Times& times) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f %s", c.work / times.seconds / 1e9,
                c.bound == Bound::products ? "GFLOP/s" : "GB/s   ");
  return text;
}

void print_row(const Case& c, const Times& times) {
  char tokens[32] = "", part[32] = "";
  if (c.tokens > 0)
    std::snprintf(tokens, sizeof tokens, "%.1f", static_cast<double>(c.tokens) / times.seconds);
  if (c.bound != Bound::none) std::snprintf(part, sizeof part, "%.2f", times.part);
  std::printf("%-29s%12.3f%10s%17s%10s\n", c.name.c_str(), times.seconds * 1e3, tokens,
              rate_text(c, times).c_str(), part);
}

std::string threads_text(int threads) {
  return std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

void print(const Report& r) {
  std::printf("%s, %s, %s; %s\nproducts in %s, medians of %lld\n\n%-29s%14s%12s\n", r.processor.c_str(),
              threads_text(r.most.back().threads).c_str(), r.isa.c_str(), r.model.c_str(),
              r.precision.c_str(), static_cast<long long>(r.repeats), "limits", "products", "reading");
  for (const Most& most : r.most)
    std::printf("%-29s%6.1f GFLOP/s%7.1f GB/s\n", threads_text(most.threads).c_str(), most.products / 1e9,
                most.reading / 1e9);
  std::printf("\n%-29s%12s%10s%17s%10s\n", "", "ms", "tok/s", "rate   ", "of limit");
  for (std::size_t i = 0; i < r.cases.size(); ++i) print_row(r.cases[i], r.times[i]);
}

nlohmann::ordered_json to_json(const Case& c, const Times& times) {
  nlohmann::ordered_json row{{"name", c.name}, {"seconds", times.seconds}};
  row[c.bound == Bound::products ? "flops" : "bytes"] = c.work;
  if (c.tokens > 0) row["tokens"] = c.tokens;
  if (c.bound != Bound::none) {
    row["limit"] = c.bound == Bound::products ? "products" : "reading";
    row["of_limit"] = times.part;
  }
  return row;
}

nlohmann::ordered_json to_json(const Report& r) {
  nlohmann::ordered_json json{{"version", t5gemma2::version},
                              {"processor", r.processor},
                              {"isa", r.isa},
                              {"threads", r.most.back().threads},
                              {"model", r.model},
                              {"dtype", r.precision},
                              {"repeats", r.repeats},
                              {"limits", nlohmann::ordered_json::array()},
                              {"rows", nlohmann::ordered_json::array()}};
  for (const Most& most : r.most)
    json["limits"].push_back(
        {{"threads", most.threads}, {"flops_per_second", most.products}, {"bytes_per_second", most.reading}});
  for (std::size_t i = 0; i < r.cases.size(); ++i) json["rows"].push_back(to_json(r.cases[i], r.times[i]));
  return json;
}

// ---- the program ----

/// Throws UsageError where no name matches --only.
Cases selected_cases(const BenchModel& model, const Flags& f) {
  Cases cases = all_cases(model, f.long_ones);
  if (!f.only) return cases;
  const std::string first = cases.front().name, last = cases.back().name;
  std::erase_if(cases, [&](const Case& c) { return fnmatch(f.only->c_str(), c.name.c_str(), 0) != 0; });
  if (cases.empty())
    throw cli::UsageError("--only: expected a pattern of names from " + first + " to " + last + ", found " +
                          *f.only);
  return cases;
}

int run(const Flags& f) {
  if (f.json) cli::check_writable(*f.json);
  omp_set_num_threads(f.threads);
  keep_freed_memory();
  BenchModel model =
      f.model ? stored_model(find_model(*f.model), cli::shown_name(f.model), f.quiet) : random_model();
  set_precision(model, precision_named(f.dtype));
  Report report{.processor = processor_name(),
                .isa = std::string(name_of(isa())),
                .model = model.name,
                .precision = f.dtype,
                .repeats = f.repeats,
                .most = {},
                .cases = selected_cases(model, f),
                .times = {}};
  Limits limits;
  if (f.threads > 1) report.most.push_back(measure_most(limits, 1, f.repeats));
  report.most.push_back(measure_most(limits, f.threads, f.repeats));
  report.times = measure_all(report.cases, limits, f.repeats, f.quiet);
  print(report);
  if (f.json) write_atomically(*f.json, [&](std::ostream& out) { out << to_json(report).dump(1) << '\n'; });
  return cli::ok;
}

}  // namespace bench_program

int programs::bench(int argc, char** argv) {
  using namespace bench_program;
  cli::App app(
      "t5gemma2-bench", "[FLAGS]",
      "Times every kernel and every step, and compares each with what this machine could do at most: "
      "with the rate of products and sums in registers, or of reading from memory.\n"
      "The limit is measured beside each run. Of repeats, which take turns, the median counts.");
  Flags flags;
  app.group("Input");
  app.add_option("-m,--model", flags.model,
                 "folder, or hub id in the local Hugging Face cache; default: random weights of 270M-270M's "
                 "shapes")
      ->value("MODEL");
  cli::add_dtype(app, flags.dtype);
  app.group("What is measured");
  app.add_option("--only", flags.only, "only rows whose names match a pattern, such as 'linear/*/512'")
      ->value("PATTERN");
  app.add_flag("--long", flags.long_ones, "also 8192 tokens and a whole image, which takes minutes");
  app.add_option("--repeats", flags.repeats, "number of repeats")
      ->check(cli::integer_in(1, 1000))
      ->capture_default_str();
  app.group("Output");
  app.add_option("--json", flags.json, "write the numbers to a file, too")->value("FILE.json");
  cli::add_threads(app, flags.threads);
  cli::add_quiet(app, flags.quiet);
  app.examples({"t5gemma2-bench --only 'linear/q_proj/*'",
                "t5gemma2-bench -m pocket --only 'encode/*' --json build/bench.json"});
  return app.run(argc, argv, [&] { return run(flags); });
}
