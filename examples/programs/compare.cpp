// t5gemma2-compare: the engine against another implementation's tensors (transformers', or yours), one by one
// in forward order.
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common_flags.hpp"
#include "load_weights.hpp"
#include "programs.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "t5gemma2/vision/vision_weights.hpp"
#include "terminal.hpp"

namespace compare_program {

using namespace t5gemma2;

const char* text_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::over_tolerance:
      return "OVER";
    case Verdict::missing:
      return "MISSING";
    case Verdict::wrong_shape:
      return "SHAPE";
    case Verdict::wrong_type:
      return "TYPE";
    case Verdict::not_a_number:
      return "NAN";
  }
  return "";
}

std::string shape_text(const std::vector<Index>& shape) {
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

void print_line(const TensorComparison& t, int name_width, float tolerance) {
  std::printf("%-*s %-18s", name_width, t.name.c_str(), shape_text(t.shape).c_str());
  const bool compared =
      t.verdict == Verdict::ok || t.verdict == Verdict::over_tolerance || t.verdict == Verdict::not_a_number;
  if (compared)
    std::printf(" %10.3e %10.3e", static_cast<double>(t.max_difference), static_cast<double>(t.relative));
  else
    std::printf(" %10s %10s", "-", "-");
  if (t.truth_ratio) std::printf(" %8.2f", static_cast<double>(*t.truth_ratio));
  std::printf("  %s%s", text_of(t.verdict),
              t.verdict == Verdict::wrong_shape ? (", ours is " + shape_text(t.found)).c_str() : "");
  if (t.tolerance > tolerance) std::printf(", %.3e allowed", static_cast<double>(t.tolerance));
  std::printf("\n");
}

void print_generated(const GeneratedComparison& g) {
  if (!g.first_difference) {
    std::printf("generated: all %td tokens equal\n", g.tokens);
    return;
  }
  std::printf("generated: DIFFERS at step %td: ours %d, reference %d, logit margin %.3e\n",
              *g.first_difference, g.ours, g.reference, static_cast<double>(g.margin));
}

void print_summary(const Comparison& result) {
  if (const auto truth = compare_truth(result.tensors))
    std::printf("root-mean-square distance to float64 over the reference's: median %.2f, largest %.2f (%s)\n",
                static_cast<double>(truth->median), static_cast<double>(truth->largest), truth->name.c_str());
  if (result.logits)
    std::printf("logits: KL divergence mean %.3e, max %.3e nats; top-1 agreement %td/%td\n",
                result.logits->mean_kl, result.logits->max_kl, result.logits->same_top, result.logits->rows);
  if (result.generated) print_generated(*result.generated);
  const auto first = std::find_if(result.tensors.begin(), result.tensors.end(),
                                  [](const auto& t) { return t.verdict != Verdict::ok; });
  if (first != result.tensors.end()) std::printf("FIRST that diverges: %s\n", first->name.c_str());
  const auto count = [&](auto... verdicts) {
    return std::count_if(result.tensors.begin(), result.tensors.end(),
                         [&](const auto& t) { return ((t.verdict == verdicts) || ...); });
  };
  std::printf("%td compared, %td over tolerance, %td missing",
              count(Verdict::ok, Verdict::over_tolerance, Verdict::not_a_number),
              count(Verdict::over_tolerance, Verdict::not_a_number), count(Verdict::missing));
  if (const auto others = count(Verdict::wrong_shape, Verdict::wrong_type))
    std::printf(", %td of another shape or type: is this the model that the reference was made with?",
                others);
  std::printf("\n");
}

void print(const Comparison& result, float tolerance) {
  int name_width = 0;
  for (const TensorComparison& t : result.tensors)
    name_width = std::max(name_width, static_cast<int>(t.name.size()));
  const bool truth = std::any_of(result.tensors.begin(), result.tensors.end(),
                                 [](const auto& t) { return t.truth_ratio.has_value(); });
  std::printf("%-*s %-18s %10s %10s%s  verdict (tolerance %g relative)\n", name_width, "tensor", "shape",
              "max |diff|", "relative", truth ? " to truth" : "", static_cast<double>(tolerance));
  for (const TensorComparison& t : result.tensors) print_line(t, name_width, tolerance);
  print_summary(result);
  std::fflush(stdout);
}

struct Flags {
  cli::ModelName model;
  std::string dtype = "float32";
  std::vector<std::string> lora;
  std::string first, second;  // MODEL REFERENCE, or REFERENCE
  std::optional<float> tolerance;
  bool quiet = false;
  int threads = 1;
};

Comparison run_and_compare(const Model& model, const SafetensorsFile& file, const Flags& f) {
  const ReferenceInputs inputs = read_inputs(file, model.config);  // first: to load may take a while
  std::optional<Vision> vision;
  if (file.tensors().contains(images_of_reference)) vision = cli::open_vision(model, f.dtype, f.quiet);
  cli::load_weights(cli::weights_of(model, vision ? &*vision : nullptr, !inputs.input_ids.empty()), f.quiet);
  std::string now;
  std::optional<cli::ProgressBar> bar;
  return compare(model, vision, file, f.tolerance, [&](const std::string& part, Index done, Index all) {
    if (part != now) bar.emplace(now = part, !f.quiet);
    bar->update(done, all);
  });
}

int run(const Flags& f) {
  const bool model_alone = f.second.empty() && !f.model && std::filesystem::is_directory(f.first);
  if (f.first.empty() || model_alone)
    throw cli::UsageError("expected REFERENCE, a safetensors file, found none");
  omp_set_num_threads(f.threads);
  const cli::ModelName named = f.second.empty() ? f.model : f.first;
  const Model model = cli::open_model(cli::model_folder(named, f.quiet), f.dtype, f.lora, f.quiet);
  for (const std::string& note : model.notes) cli::note(note, f.quiet);
  const SafetensorsFile file = SafetensorsFile::open(f.second.empty() ? f.first : f.second);
  const Comparison result = run_and_compare(model, file, f);
  print(result, f.tolerance.value_or(default_tolerance));
  return result.passed() ? cli::ok : cli::failed;
}

}  // namespace compare_program

int programs::compare(int argc, char** argv) {
  using namespace compare_program;
  cli::App app(
      "t5gemma2-compare", "[FLAGS] MODEL REFERENCE",
      "Compares every tensor of a reference file with the engine's. The file may be made by "
      "transformers or by an implementation of your own. Where it tells what float64 gives, too, the "
      "column \"to truth\" is our root-mean-square distance to that over the reference's.");
  Flags flags;
  cli::add_model(app, flags.model);
  cli::add_dtype(app, flags.dtype);
  cli::add_lora(app, flags.lora);
  app.add_option("MODEL", flags.first, "the model, without -m");
  app.add_option("REFERENCE", flags.second,
                 "safetensors file with inputs and activations, transformers' or your own; alone after -m");
  app.group("Output");
  app.add_option(
         "--tolerance", flags.tolerance,
         "largest max |diff| / max |reference| that passes; default: 0.0001, or twice the reference's own "
         "largest distance to float64 where the file tells that and it is more")
      ->check(cli::number_in(0, 1e6));
  cli::add_threads(app, flags.threads);
  cli::add_quiet(app, flags.quiet);
  app.examples({R"(t5gemma2-trace -p "sort: ox cat" -o build/ours.safetensors)",
                "t5gemma2-compare pocket build/ours.safetensors"});
  return app.run(argc, argv, [&] {
    if (flags.model && !flags.second.empty()) throw cli::UsageError("MODEL or -m: one of them, not both");
    return run(flags);
  });
}
