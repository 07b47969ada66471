// t5gemma2-inspect: a checkpoint as a table, with what its tied embedding and its merged attention save
// (paper §2, Table 1).
#include <cstdio>
#include <string>

#include "common_flags.hpp"
#include "programs.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/analysis/parameters.hpp"
#include "t5gemma2/model.hpp"

namespace inspect_program {

using namespace t5gemma2;

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
  line("all", p.text() + p.vision);
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
  saved("one embedding, not two", p.embedding);
  saved("no cross-attention", p.cross_attention);
}

void print_memory(const Model& model, Index context) {
  const MemoryNeed need = memory_need(model.config, context, context);
  std::size_t stored = 0;
  for (const auto& [name, tensor] : model.checkpoint->tensors()) stored += tensor.bytes;
  std::printf("\nmemory at %td tokens in and %td out (MB)\n", context, context);
  const auto line = [](const char* name, double bytes) { std::printf("  %-35s%12.1f\n", name, bytes / 1e6); };
  line("weights as stored (mapped)", static_cast<double>(stored));
  line("encoder, intermediates of a layer", need.encoder);
  line("decoder, K and V of encoder output", need.encoder_kv);
  line("decoder, K and V of its own tokens", need.decoder_kv);
}

}  // namespace inspect_program

int programs::inspect(int argc, char** argv) {
  using namespace inspect_program;
  cli::App app("t5gemma2-inspect", "[FLAGS] [MODEL]", "Shows a checkpoint's sizes, parameters and memory.");
  cli::ModelName model_name;
  Index context = 4096;
  bool quiet = false;
  cli::add_model(app, model_name, true);
  app.group("Output");
  app.add_option("-c,--ctx-size", context, "number of tokens, in and out, of the memory table")
      ->check(cli::integer_in(1, 100000000))
      ->capture_default_str();
  cli::add_quiet(app, quiet);
  app.examples({"t5gemma2-inspect pocket", "t5gemma2-inspect -m examples/pocket -c 32768"});
  return app.run(argc, argv, [&] {
    const Model model = load_model(cli::model_folder(model_name, quiet));
    const ParameterCount parameters = count_parameters(model);
    print_sizes(model.config);
    print_parameters(parameters);
    print_savings(parameters);
    print_memory(model, context);
    std::fflush(stdout);
    for (const std::string& note : model.notes) cli::note(note, quiet);
    return cli::ok;
  });
}
