// t5gemma2-trace: every intermediate tensor of one pass, under the reference's names, in the format that
// t5gemma2-compare reads.
#include <deque>

#include "cli.hpp"
#include "t5gemma2/t5gemma2.hpp"

namespace {

using namespace t5gemma2;

/// Tensors with their memory, in the order they came.
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes every intermediate tensor of one pass to a safetensors file.", "t5gemma2-trace");
  std::string model_name, prompt, decoder_prompt, out;
  int threads = 1;
  app.add_option("MODEL", model_name, "folder or hub id")->required();
  app.add_option("-p,--prompt", prompt, "text for the encoder; without it the decoder runs alone");
  app.add_option("--decoder-prompt", decoder_prompt, "text of the decoder");
  app.add_option("-o,--output", out, "the file to write")->required();
  cli::add_threads(app, threads);
  return cli::run(app, argc, argv, [&] {
    if (app.count("--prompt") + app.count("--decoder-prompt") == 0)
      throw cli::UsageError("-p or --decoder-prompt is required");
    omp_set_num_threads(threads);
    const auto folder = find_model(model_name);
    const Model model = load_model(folder);
    const Tokenizer tokenizer = Tokenizer::load(folder);
    const auto ids = app.count("--prompt") ? tokenizer.encode(prompt) : std::vector<TokenId>();
    const auto decoder_ids = tokenizer.encode(decoder_prompt);
    Recording recording;
    recording.add_ids("inputs.input_ids", ids);
    recording.add_ids("inputs.decoder_input_ids", decoder_ids);
    const Trace trace{.report = [&](const auto& name, const auto& shape, const float* values) {
      recording.add(name, shape, values);
    }};
    const Matrix H = encode(model, ids, {}, &trace);
    forward(model, decoder_ids, H, &trace);
    write_safetensors(out, recording.tensors(), {{"format", "pt"}});
    std::cerr << recording.tensors().size() << " tensors written to " << out << '\n';
    return cli::ok;
  });
}
