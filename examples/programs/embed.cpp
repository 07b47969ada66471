// t5gemma2-embed: a vector for each text, from the encoder alone.
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common_flags.hpp"
#include "embed_input.hpp"
#include "embed_output.hpp"
#include "embedder.hpp"
#include "failure.hpp"
#include "json_lines.hpp"
#include "programs.hpp"
#include "progress_bar.hpp"
#include "t5gemma2/checkpoint/text_config_json.hpp"
#include "terminal.hpp"

namespace embed_program {

using namespace t5gemma2;

struct Flags {
  cli::EmbedFlags embed;
  std::optional<std::string> text, file, out;
  bool jsonl = false;
  int threads = 1;
};

constexpr const char* about =
    R"(Writes an embedding of each text: a vector, made from the encoder's output. The texts are lines of stdin or of -f.
A folder of sentence-transformers (modules.json) is embedded with its own pooling, dense layers, normalisation, max_seq_length and prompts; any other with the mean over all tokens. --pooling and --layer take the place of what modules.json says but for its max_seq_length and prompts. A prompt is for texts, which max_seq_length cuts: images and input_ids get none, and are not cut.
Folders with an encoder alone are taken, too: as T5Gemma2Encoder.save_pretrained writes them, and EmbeddingGemma's.
--layer counts as transformers' hidden_states do, and only here: 0 is the embedded tokens, N the output of the Nth layer, and the last one, which is the default, the encoder's output.
--jsonl: the keys are prompt, images (a list) and input_ids (a list) in place of prompt. Other keys are copied to the answer. A line that cannot be embedded gets "error" in place of "embedding", and the exit status is 1.
Without -o the embeddings are JSON lines: {"embedding": [...]}, with --pooling none a list of lists. -o writes float32 `embeddings` [texts, d] to a file; with --pooling none, in a .safetensors file, [sum of tokens, d], and `lengths`, the tokens of each text.)";

void add_flags(cli::App& app, Flags& f) {
  cli::add_model(app, f.embed.model);
  cli::add_dtype(app, f.embed.dtype);
  cli::add_lora(app, f.embed.lora);
  cli::Option* prompt = app.add_option("-p,--prompt", f.text, "one text");
  cli::Option* word = app.add_option("TEXT", f.text, "the same, without -p")->excludes(prompt);
  app.add_option("-f,--file", f.file, "read texts from a file, one a line; - is stdin")
      ->value("FILE")
      ->excludes(prompt)
      ->excludes(word);
  app.add_flag("--jsonl", f.jsonl, "lines are JSON requests; see above")->excludes(prompt)->excludes(word);
  app.add_option("--prompt-name", f.embed.prompt_name,
                 "put the prompt of this name, out of the model's folder, in front")
      ->value("NAME");
  app.group("Embeddings");
  app.add_option("--pooling", f.embed.pooling, "mean, the first token, the last token, or every token")
      ->value("mean|cls|last|none")
      ->check(cli::one_of({pooling_names.begin(), pooling_names.end()}));
  app.add_option("--layer", f.embed.layer, "of hidden_states, counted from 0; default: the encoder's output")
      ->value("N")
      ->check(cli::integer_in(0, config_detail::most_layers));
  app.add_option("--dimensions", f.embed.dimensions, "keep the first N numbers, then normalise")
      ->value("N")
      ->check(cli::integer_in(1, config_detail::most_features));
  app.add_flag("--normalize", f.embed.normalize, "divide each embedding by its length");
  app.group("Output");
  app.add_option("-o,--output", f.out, "the file to write, .npy or .safetensors, in place of JSON lines")
      ->value("FILE");
  cli::add_threads(app, f.threads);
  cli::add_quiet(app, f.embed.quiet);
  app.examples({"printf 'sort: ox cat\\nsort: cat ox\\n' | t5gemma2-embed -o build/e.npy",
                R"(t5gemma2-embed "sort: ox cat" --dimensions 4)"});
}

/// A line, ready to be embedded, or why it cannot be.
struct Item {
  std::string where;
  cli::AnswerLine copied = cli::AnswerLine::object();
  EmbedInput input;
  std::string error;
};

/// Embeds lines, some at a time.
class LineEmbedder {
 public:
  LineEmbedder(cli::Embedder& embedder, const Flags& f)
      : embedder_(embedder),
        f_(f),
        keys_({"prompt", "images", "input_ids"}, {"embedding", "error"}),
        array_(embedder.width()) {}

  /// Returns the message at the end; empty when no line failed. Throws Error for a line that fails where it is not one of
  /// --jsonl, or all go to a file; the lines before it are still printed.
  std::string run(cli::LineSource& source) {
    cli::ProgressBar bar("embedding", !f_.embed.quiet);
    std::string line, where;
    for (bool more = true; more && std::cout;) {
      std::vector<Item> items;
      Index tokens = 0;
      do {
        more = source.next(line, where);
        if (!more) break;
        items.push_back(read(line, where));
        tokens += std::ssize(items.back().input.ids);
        more = !ends_all(items.back());
      } while (more && tokens < most_tokens && source.is_ready());
      embed_all(items, bar, source.all());
      if (!fatal_.empty()) throw Error(fatal_);
    }
    keys_.note_all(f_.embed.quiet);
    if (f_.out) array_.write(*f_.out, embedder_.every_token());
    if (f_.out && !f_.embed.quiet)
      std::cerr << array_.texts() << " embeddings written to " << *f_.out << '\n';
    return cli::failed_lines(failed_, lines_, "embedding");
  }

 private:
  static constexpr Index most_tokens = 4 * chunk_rows;  // of lines that are embedded and printed together

  bool ends_all(const Item& item) const { return !item.error.empty() && (f_.out || !f_.jsonl); }

  Item read(const std::string& line, const std::string& where) {
    Item item;
    item.where = where;
    item.error = cli::failure_of(where, [&] {
      item.input = embedder_.input_of(f_.jsonl ? parsed(line, where, item) : checked(line));
    });
    return item;
  }

  static cli::EmbedRequest checked(const std::string& line) {
    if (line.empty()) throw Error("expected a text, found an empty line");
    return {.text = line, .images = {}, .ids = {}};
  }

  cli::EmbedRequest parsed(const std::string& line, const std::string& where, Item& item) {
    const nlohmann::json json = parse_json(line, where);
    const JsonField object(json, where);
    keys_.copy(object, line, item.copied);
    return cli::read_embed_request(object);
  }

  void embed_all(std::vector<Item>& items, cli::ProgressBar& bar, Index all) {
    std::vector<EmbedInput> inputs;
    for (Item& item : items)
      if (item.error.empty()) inputs.push_back(std::move(item.input));
    const Index count = std::ssize(items);
    const std::vector<Matrix> embeddings = embedder_.embeddings_of(inputs, [&](Index done, Index of) {
      bar.update(lines_ + count * done / std::max<Index>(1, of), all);
    });
    auto next = embeddings.begin();
    for (Item& item : items) {
      const Matrix* const embedding = item.error.empty() ? &*next++ : nullptr;
      if (embedding && !embedding->allFinite())
        item.error = item.where +
                     ": embedding: expected finite numbers, found NaN or infinity: the weights are broken";
      if (ends_all(item)) {
        fatal_ = item.error;
        return;
      }
      ++lines_;
      if (item.error.empty())
        write(item, *embedding);
      else
        write_error(item);
    }
  }

  void write_error(Item& item) {
    ++failed_;
    item.copied["error"] = item.error;
    cli::print_text(cli::to_text(item.copied) + '\n');
  }

  void write(const Item& item, const Matrix& embedding) {
    if (f_.out) return array_.add(embedding);
    cli::print_text(cli::embedding_line(item.copied, embedding, embedder_.every_token()) + '\n');
  }

  cli::Embedder& embedder_;
  const Flags& f_;
  cli::CopiedKeys keys_;
  cli::EmbeddingArray array_;
  Index lines_ = 0, failed_ = 0;
  std::string fatal_;  // why the rest is not embedded
};

void check_flags(const Flags& f) {
  if (f.text && f.text->empty()) throw cli::UsageError("expected a text, found an empty one");
  if (!f.out) return;
  const std::filesystem::path extension = std::filesystem::path(*f.out).extension();
  if (extension != ".npy" && extension != ".safetensors")
    throw cli::UsageError("-o: expected a .npy or .safetensors file, found " + in_quotes(*f.out));
  if (extension == ".npy" && f.embed.pooling == "none")
    throw cli::UsageError("-o: a .npy file holds one row for each text; --pooling none needs .safetensors");
  cli::check_writable(*f.out);
}

int run(const Flags& f) {
  check_flags(f);
  omp_set_num_threads(f.threads);
  cli::Embedder embedder(f.embed);
  cli::LineSource source = f.text ? cli::LineSource::of_text(*f.text)
                                  : cli::LineSource::of_file(f.file.value_or("-"), f.jsonl, f.embed.quiet);
  const std::string trouble = LineEmbedder(embedder, f).run(source);
  embedder.print_timings();
  if (!trouble.empty()) throw Error(trouble);
  return cli::ok;
}

}  // namespace embed_program

int programs::embed(int argc, char** argv) {
  using namespace embed_program;
  cli::App app("t5gemma2-embed", "[FLAGS] [TEXT]", about);
  Flags flags;
  add_flags(app, flags);
  return app.run(argc, argv, [&] { return run(flags); });
}
