// t5gemma2-trace: every intermediate tensor of one pass, under the reference's names, in the file format that
// t5gemma2-compare reads.
#include <omp.h>

#include <cstdint>
#include <deque>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "input_flags.hpp"
#include "load_weights.hpp"
#include "programs.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/checkpoint/safetensors_writer.hpp"
#include "t5gemma2/model.hpp"
#include "t5gemma2/prompt.hpp"
#include "t5gemma2/vision/vision_weights.hpp"
#include "terminal.hpp"

namespace trace_program {

using namespace t5gemma2;

/// Copies of tensors, in the order in which they were reported.
class Recording {
 public:
  void add(const std::string& name, const std::vector<Index>& shape, const float* values) {
    Index size = 1;
    for (const Index extent : shape) size *= extent;
    keep(name, Dtype::f32, shape, std::as_bytes(std::span(values, static_cast<std::size_t>(size))));
  }
  void add_ids(const std::string& name, const std::vector<TokenId>& ids) {
    const std::vector<std::int64_t> wide(ids.begin(), ids.end());
    keep(name, Dtype::i64, {1, std::ssize(ids)}, std::as_bytes(std::span(wide)));
  }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  void keep(const std::string& name, Dtype dtype, const std::vector<Index>& shape,
            std::span<const std::byte> bytes) {
    memory_.emplace_back(bytes.begin(), bytes.end());
    tensors_.push_back({name, dtype, shape, memory_.back()});
  }

  std::deque<std::vector<std::byte>> memory_;
  std::vector<NamedTensor> tensors_;
};

struct Flags {
  cli::ModelName model;
  std::string dtype = "float32";
  std::vector<std::string> lora;
  cli::Input input;
  std::string out;
  bool quiet = false;
  int threads = 1;
};

int run(const Flags& f) {
  cli::check_writable(f.out);
  omp_set_num_threads(f.threads);
  const auto folder = cli::model_folder(f.model, f.quiet);
  const Model model = cli::open_model(folder, f.dtype, f.lora, f.quiet);
  const std::optional<Tokenizer> loaded = Tokenizer::load_if_there(tokenizer_folder(folder, model));
  const Tokenizer* const tokenizer = loaded ? &*loaded : nullptr;
  Recording recording;
  const Trace trace{.report = [&](const auto& name, const auto& shape, const float* values) {
    recording.add(name, shape, values);
  }};
  const std::vector<PromptImage> images = load_images(f.input.images);
  std::optional<Vision> vision;
  if (!images.empty()) vision = cli::open_vision(model, f.dtype, f.quiet);
  const auto ids = cli::encoder_ids(f.input, tokenizer, model.config, images, f.quiet);
  const auto decoder_ids = cli::decoder_ids(f.input, model, tokenizer);
  check_trace_memory(model.config, std::ssize(ids), std::ssize(decoder_ids));
  recording.add_ids("inputs.input_ids", ids);
  recording.add_ids("inputs.decoder_input_ids", decoder_ids);
  cli::load_weights(cli::weights_of(model, vision ? &*vision : nullptr, !ids.empty()), f.quiet);
  std::vector<Matrix> features;
  if (vision) {
    cli::ProgressBar bar("looking", !f.quiet);
    features = get_image_features(*vision, images, bar.watch(), &trace);
  }
  cli::ProgressBar bar("encoding", !f.quiet);
  const Matrix H = encode(model, ids, features, bar.watch(), &trace);
  cli::ProgressBar decoding("decoding", !f.quiet);
  forward(model, decoder_ids, H, decoding.watch(), &trace);
  decoding.clear();
  write_safetensors(f.out, recording.tensors(), {{"format", "pt"}});
  if (!f.quiet) std::cerr << recording.tensors().size() << " tensors written to " << f.out << '\n';
  return cli::ok;
}

}  // namespace trace_program

int programs::trace(int argc, char** argv) {
  using namespace trace_program;
  cli::App app("t5gemma2-trace", "-o FILE.safetensors [FLAGS] [MODEL]",
               "Writes every intermediate tensor of one pass to a safetensors file.");
  Flags flags;
  cli::add_model(app, flags.model, true);
  cli::add_dtype(app, flags.dtype);
  cli::add_lora(app, flags.lora);
  cli::add_input_flags(app, flags.input, "text for the decoder", false);
  app.group("Output");
  app.add_option("-o,--output", flags.out, "the file to write")->value("FILE.safetensors")->required();
  cli::add_threads(app, flags.threads);
  cli::add_quiet(app, flags.quiet);
  app.examples({R"(t5gemma2-trace -p "sort: ox cat" -o build/ours.safetensors)",
                "t5gemma2-trace pocket --input-ids 2,893,326 -o build/ours.safetensors"});
  return app.run(argc, argv, [&] {
    cli::check_prompt(flags.input);
    cli::check_not_empty(flags.input);
    return run(flags);
  });
}
