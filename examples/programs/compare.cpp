// t5gemma2-compare: the engine against another implementation's tensors (transformers', or yours), one by one
// in forward order.
#include <omp.h>

#include <charconv>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "common_flags.hpp"
#include "files.hpp"
#include "ids.hpp"
#include "load_weights.hpp"
#include "programs.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "t5gemma2/analysis/compare_files.hpp"
#include "t5gemma2/analysis/reference/open_reference.hpp"
#include "t5gemma2/analysis/report/report_html.hpp"
#include "t5gemma2/analysis/report/report_json.hpp"
#include "t5gemma2/analysis/report/report_text.hpp"
#include "t5gemma2/io/atomic_file.hpp"
#include "t5gemma2/vision/vision_weights.hpp"
#include "terminal.hpp"

namespace compare_program {

using namespace t5gemma2;

struct Flags {
  cli::ModelName model;
  std::string dtype = "float32";
  std::vector<std::string> lora;
  std::string first, second;  // MODEL REFERENCE, or REFERENCE, or two files
  std::optional<std::string> input_ids, decoder_input_ids;
  std::vector<std::string> tolerance;  // NUMBER or PATTERN=NUMBER
  bool all = false, json = false;
  std::optional<std::string> html;
  bool quiet = false;
  int threads = 1;
};

/// Throws UsageError unless each is a number of 0 or more, behind PATTERN= perhaps.
Tolerances tolerances_of(const std::vector<std::string>& words) {
  Tolerances tolerances;
  for (const std::string& word : words) {
    const std::size_t equals = word.rfind('=');
    const std::string number = equals == std::string::npos ? word : word.substr(equals + 1);
    float tolerance = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), tolerance);
    if (error != std::errc() || end != number.data() + number.size() ||
        !(tolerance >= 0 && tolerance <= 1e6f))
      throw cli::UsageError("--tolerance: expected a number from 0 to 1e6, or PATTERN=NUMBER, found " +
                            readable(word));
    if (equals == std::string::npos)
      tolerances.all = tolerance;
    else
      tolerances.by_pattern.emplace_back(word.substr(0, equals), tolerance);
  }
  return tolerances;
}

/// The file with the ids of the flags in place of its own.
ReferenceFile open(const std::string& path, const Flags& f) {
  ReferenceFile file = open_reference(path);
  if (f.input_ids) file.set_ids("inputs.input_ids", cli::parse_ids(*f.input_ids, "--input-ids"));
  if (f.decoder_input_ids)
    file.set_ids("inputs.decoder_input_ids", cli::parse_ids(*f.decoder_input_ids, "--decoder-input-ids"));
  return file;
}

Comparison run_and_compare(const Model& model, const ReferenceFile& file, const Tolerances& tolerances,
                           const Flags& f) {
  const ReferenceInputs inputs = read_inputs(file, model.config);  // first: to load may take a while
  std::optional<Vision> vision;
  if (file.tensors.contains(images_of_reference)) vision = cli::open_vision(model, f.dtype, f.quiet);
  cli::load_weights(cli::weights_of(model, vision ? &*vision : nullptr, !inputs.input_ids.empty()), f.quiet);
  std::string now;
  std::optional<cli::ProgressBar> bar;
  Comparison result =
      compare(model, vision, file, tolerances, [&](const std::string& part, Index done, Index all) {
        if (part != now) bar.emplace(now = part, !f.quiet);
        bar->update(done, all);
      });
  bar.reset();
  cli::ProgressBar guessing("guessing", !f.quiet);
  explain(result, model, file, guessing.watch());
  guessing.clear();
  return result;
}

/// The engine against REFERENCE.
Comparison with_model(const Flags& f, const Tolerances& tolerances) {
  omp_set_num_threads(f.threads);
  const cli::ModelName named = f.second.empty() ? f.model : f.first;
  const Model model = cli::open_model(cli::model_folder(named, f.quiet), f.dtype, f.lora, f.quiet);
  for (const std::string& note : model.notes) cli::note(note, f.quiet);
  const ReferenceFile file = open(f.second.empty() ? f.first : f.second, f);
  if (!file.tensors.contains("inputs.input_ids"))
    fail(file.path.string(), "inputs.input_ids",
         "I64 [1, n], as t5gemma2-trace and weights_tool record write it, or --input-ids", "neither");
  return run_and_compare(model, file, tolerances, f);
}

int run(const Flags& f) {
  const bool model_alone = f.second.empty() && !f.model && std::filesystem::is_directory(f.first);
  if (f.first.empty() || model_alone)
    throw cli::UsageError("expected REFERENCE, a safetensors file, found none");
  const Tolerances tolerances = tolerances_of(f.tolerance);  // first: to load may take a while
  if (f.html) cli::check_writable(*f.html);
  const bool two_files = !f.second.empty() && std::filesystem::is_regular_file(f.first);
  const Comparison result =
      two_files ? compare_files(open(f.first, f), open(f.second, f), tolerances) : with_model(f, tolerances);
  if (f.html) write_atomically(*f.html, [&](std::ostream& out) { out << report_html(result); });
  if (f.json)
    std::cout << report_json(result).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  else
    std::cout << report_text(result, f.all);
  std::cout.flush();
  return result.passed() ? cli::ok : cli::failed;
}

}  // namespace compare_program

int programs::compare(int argc, char** argv) {
  using namespace compare_program;
  cli::App app(
      "t5gemma2-compare", "[FLAGS] MODEL REFERENCE",
      "Compares every tensor of a reference file with the engine's, and says why they differ where it "
      "finds out: the first tensor that is wrong by itself is computed again, from the file's own tensors "
      "before it, in the ways in which programs for Gemma models are known to differ. The file may be made "
      "by transformers, by its debugger (JSON), by TransformerLens, or by an implementation of your own; two "
      "files are compared with each other. Where a file tells what float64 gives, too, the column \"truth\" "
      "is our root-mean-square distance to that over the reference's.");
  Flags flags;
  cli::add_model(app, flags.model);
  cli::add_dtype(app, flags.dtype);
  cli::add_lora(app, flags.lora);
  app.add_option("MODEL", flags.first, "the model, without -m; or a file to compare with the other");
  app.add_option("REFERENCE", flags.second,
                 "file with inputs and activations, transformers' or your own; alone after -m");
  app.add_option("--input-ids", flags.input_ids,
                 "the encoder's ids, such as 2,5,7, where the file does not tell them")
      ->value("IDS");
  app.add_option("--decoder-input-ids", flags.decoder_input_ids, "the decoder's ids, the same")->value("IDS");
  app.group("Output");
  app.add_option(
         "--tolerance", flags.tolerance,
         "largest max |diff| / max |reference| that passes, of all tensors or of those whose names fit "
         "a pattern of * and ?, the last that fits; repeatable. Default, by the file's number format: "
         "float32 0.0001, float16 0.001, bfloat16 0.01, or twice the reference's own largest distance "
         "to float64 where the file tells that and it is more, up to ten times as much")
      ->value("[PATTERN=]NUMBER")
      ->allow_extra_args(false);
  app.add_flag("--all", flags.all, "every tensor, not only those that differ");
  app.add_flag("--json", flags.json, "the report as JSON, with every tensor");
  app.add_option("--html", flags.html,
                 "the HTML file to write besides: a page with every tensor in the tree of modules")
      ->value("FILE.html");
  cli::add_threads(app, flags.threads);
  cli::add_quiet(app, flags.quiet);
  app.examples({R"(t5gemma2-trace -p "sort: ox cat" -o build/ours.safetensors)",
                "t5gemma2-compare pocket build/ours.safetensors"});
  return app.run(argc, argv, [&] {
    if (flags.model && !flags.second.empty()) throw cli::UsageError("MODEL or -m: one of them, not both");
    return run(flags);
  });
}
