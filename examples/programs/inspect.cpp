// t5gemma2-inspect: a checkpoint, or the sizes in a config.json alone, as a table, with what its tied
// embedding and its merged attention save (paper §2, Table 1).
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "common_flags.hpp"
#include "programs.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/analysis/parameters.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"
#include "t5gemma2/checkpoint/dtype.hpp"
#include "t5gemma2/checkpoint/folder_contents.hpp"
#include "t5gemma2/model.hpp"

namespace inspect_program {

using namespace t5gemma2;

/// What the tables are made of.
struct Inspected {
  Config config;
  ParameterCount parameters;
  std::string weights;  // what is said of them
  double bytes = 0;     // of the weights
  std::vector<std::string> notes;
};

/// Whether `model` names a file of sizes, there or not, and no folder.
bool is_config_file(const std::string& model) {
  std::error_code ignored;
  return model.ends_with(".json") && !std::filesystem::is_directory(model, ignored);
}

/// Whether nothing in a folder is, or stands for, the weights of its config.json.
bool is_config_alone(const std::filesystem::path& folder) {
  return is_there(folder / "config.json") && found_instead(folder).empty();
}

Inspected inspect_config(const std::filesystem::path& file) {
  const ConfigFile config_json = open_config_file(file);
  Inspected found{
      .config = read_config(config_json.root()), .parameters = {}, .weights = "", .bytes = 0, .notes = {}};
  const std::optional<Dtype> given = stored_dtype(config_json.root());
  const Dtype dtype = given.value_or(Dtype::bf16);  // that of the published models
  found.parameters = count_parameters(found.config);
  found.weights = "weights, if stored as " + std::string(name_of(dtype));
  found.bytes = static_cast<double>(found.parameters.all()) * static_cast<double>(bits_of(dtype)) / 8;
  found.notes = found.config.notes;
  found.notes.push_back(file.string() +
                        ": read without weights: parameters and bytes are computed from its sizes" +
                        (given ? "" : "; no dtype, so bfloat16 is taken"));
  return found;
}

Inspected inspect_folder(const std::filesystem::path& folder) {
  if (is_config_alone(folder)) return inspect_config(folder / "config.json");
  const Model model = load_model(folder);
  Inspected found{.config = model.config,
                  .parameters = count_parameters(model),
                  .weights = "weights as stored (mapped)",
                  .bytes = 0,
                  .notes = model.notes};
  for (const auto& [name, tensor] : model.checkpoint->tensors())
    found.bytes += static_cast<double>(tensor.bytes);
  return found;
}

// Lines of at most 50 columns: half a screen.

void row(const char* name, const std::string& encoder, const std::string& decoder) {
  std::printf("  %-23s%12s%12s\n", name, encoder.c_str(), decoder.c_str());
}

std::string text(double number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%g", number);
  return digits;
}

std::string layers_of(const TextConfig& c) {
  std::string text;
  for (const LayerType type : c.layer_types) text += type == LayerType::full_attention ? 'G' : 'l';
  return text;
}

void print_sizes(const Config& config) {
  const TextConfig &e = config.encoder, &d = config.decoder;
  std::printf("sizes\n");
  row("", "encoder", "decoder");
  const auto size = [&](const char* name, Index TextConfig::*member) {
    row(name, std::to_string(e.*member), std::to_string(d.*member));
  };
  size("num_hidden_layers", &TextConfig::num_hidden_layers);
  size("hidden_size", &TextConfig::hidden_size);
  size("num_attention_heads", &TextConfig::num_attention_heads);
  size("num_key_value_heads", &TextConfig::num_key_value_heads);
  size("head_dim", &TextConfig::head_dim);
  size("intermediate_size", &TextConfig::intermediate_size);
  size("vocab_size", &TextConfig::vocab_size);
  size("sliding_window", &TextConfig::sliding_window);
  size("max_position_embeddings", &TextConfig::max_position_embeddings);
  row("rope theta, global", text(e.full_attention.theta), text(d.full_attention.theta));
  row("rope factor, global", text(e.full_attention.factor), text(d.full_attention.factor));
  row("rope theta, local", text(e.sliding_attention.theta), text(d.sliding_attention.theta));
  std::printf("  layers: l local (sliding), G global (full)\n    encoder %s\n    decoder %s\n",
              layers_of(e).c_str(), layers_of(d).c_str());
}

void print_parameters(const ParameterCount& p) {
  std::printf("\nparameters\n");
  const auto line = [](const char* name, Index count) { std::printf("  %-35s%12td\n", name, count); };
  line("embedding (counted once)", p.embedding);
  line("encoder layers and norm", p.encoder);
  line("decoder layers and norm", p.decoder);
  if (p.untied > 0) line("decoder's own embedding or head", p.untied);
  line("text model", p.text());
  line("vision encoder and projector", p.vision);
  line("all", p.all());
}

void print_savings(const ParameterCount& p) {
  const auto percent = [&](Index saved) {
    return 100.0 * static_cast<double>(saved) / static_cast<double>(p.baseline());
  };
  std::printf("\nwhat the architecture saves (paper §2)\n");
  std::printf("  baseline = encoder + decoder + 2 embeddings\n             + cross-attention of its own\n");
  std::printf(
      "  cross-attention of its own = decoder layers\n             * 2 * (heads + kv_heads) * dh * d\n");
  const auto saved = [&](const char* name, Index count) {
    std::printf("  %-24s%12td  -%.1f %%\n", name, count, percent(count));
  };
  std::printf("  %-24s%12td\n", "baseline", p.baseline());
  if (p.untied == 0) saved("one embedding, not two", p.embedding);  // untied checkpoints store more
  saved("no cross-attention", p.cross_attention);
}

void print_memory(const Inspected& found, Index context) {
  const MemoryNeed need = memory_need(found.config, context, context);
  std::printf("\nmemory at %td tokens in and %td out (MB)\n", context, context);
  const auto line = [](const char* name, double bytes) { std::printf("  %-35s%12.1f\n", name, bytes / 1e6); };
  line(found.weights.c_str(), found.bytes);
  line("encoder, intermediates of a layer", need.encoder);
  line("decoder, K and V of encoder output", need.encoder_kv);
  line("decoder, K and V of its own tokens", need.decoder_kv);
}

}  // namespace inspect_program

int programs::inspect(int argc, char** argv) {
  using namespace inspect_program;
  cli::App app("t5gemma2-inspect", "[FLAGS] [MODEL | CONFIG.json]",
               "Shows a checkpoint's sizes, parameters and memory.\n"
               "A config.json, or a folder with nothing else, is enough: parameters and bytes are then "
               "computed from its sizes.");
  cli::ModelName model_name;
  Index context = 4096;
  bool quiet = false;
  cli::add_model(app, model_name, true, "folder, config.json, or hub id in the local Hugging Face cache");
  app.group("Output");
  app.add_option("-c,--ctx-size", context, "number of tokens, in and out, of the memory table")
      ->check(cli::integer_in(1, 100000000))
      ->capture_default_str();
  cli::add_quiet(app, quiet);
  app.examples({"t5gemma2-inspect pocket", "t5gemma2-inspect examples/pocket/config.json -c 32768"});
  return app.run(argc, argv, [&] {
    const Inspected found = model_name && is_config_file(*model_name)
                                ? inspect_config(*model_name)
                                : inspect_folder(cli::model_folder(model_name, quiet));
    print_sizes(found.config);
    print_parameters(found.parameters);
    print_savings(found.parameters);
    print_memory(found, context);
    std::fflush(stdout);
    for (const std::string& note : found.notes) cli::note(note, quiet);
    return cli::ok;
  });
}
