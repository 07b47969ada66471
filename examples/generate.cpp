// t5gemma2-generate: a prompt in, text out as it is made. The text goes to stdout, everything else to stderr.
#include <csignal>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "cli.hpp"
#include "t5gemma2/t5gemma2.hpp"

namespace {

using namespace t5gemma2;

volatile std::sig_atomic_t stop_requested = 0;

struct Interrupted : std::exception {};

/// Ctrl-C asks to stop, also while waiting for a line; a second one kills.
void stop_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

struct Flags {
  std::string model, prompt, file, decoder_prompt;
  bool has_prompt = false, has_decoder_prompt = false;
  std::optional<Index> tokens, top_k;
  std::optional<float> temperature, top_p, min_p, repeat_penalty;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false, special = false, echo = false, quiet = false, jsonl = false;
  int threads = 1;
};

struct Request {
  std::optional<std::string> prompt, decoder_prompt;
};

void add_flags(CLI::App& app, Flags& f) {
  app.add_option("-m,--model", f.model, "folder, or hub id in the local Hugging Face cache")->required();
  app.add_option("-p,--prompt", f.prompt, "text for the encoder; \"\" is <bos> alone");
  app.add_option("-f,--file", f.file, "read the prompt from a file; - is stdin");
  app.add_option("--decoder-prompt", f.decoder_prompt, "text that the decoder continues");
  app.add_flag("--jsonl", f.jsonl,
               "a JSON object {\"prompt\", \"decoder_prompt\"} a line in (stdin or -f), one out");
  app.add_option("-n,--n-predict", f.tokens, "number of tokens to make (128)")->check(cli::number_in(0, 1e9));
  cli::add_threads(app, f.threads);
  app.add_option("-s,--seed", f.seed, "seed of sampling")
      ->check(cli::number_in(0, 1e18))
      ->capture_default_str();
  app.add_option("--temp", f.temperature, "temperature; 0 is greedy")->check(cli::number_in(0, 1e6));
  app.add_option("--top-k", f.top_k, "sample from the k likeliest; 0 is all")->check(cli::number_in(0, 1e9));
  app.add_option("--top-p", f.top_p, "... from the likeliest that hold p together")
      ->check(cli::number_in(0, 1));
  app.add_option("--min-p", f.min_p, "... from those with p times the likeliest's")
      ->check(cli::number_in(0, 1));
  app.add_option("--repeat-penalty", f.repeat_penalty, "divide logits of tokens already made; 1 is off")
      ->check(cli::number_in(1e-6, 1e6));
  app.add_option("--stop", f.stop, "text that ends the output, not printed; repeatable")
      ->allow_extra_args(false);
  app.add_flag("--ignore-eos", f.ignore_eos, "go on after the end-of-sequence token");
  app.add_flag("--special", f.special, "print special pieces and <unusedN> sentinels, too");
  app.add_flag("--echo", f.echo, "print the decoder prompt first");
  app.add_flag("-q,--quiet", f.quiet, "no progress, notes and timings");
  app.footer(
      "Greedy unless --temp, --top-k, --top-p or --min-p is above 0; generation_config.json gives the other\n"
      "defaults. Without -p and -f, --decoder-prompt runs the decoder alone.");
}

/// Flags over generation_config.json over the reference's defaults.
GenerateOptions options_for(const Flags& f, const Model& model, const GenerationConfig& config) {
  const auto above_zero = [](const auto& flag) { return flag.value_or(0) > 0; };
  GenerateOptions options;
  const auto either = [](const auto& flag, const auto& file, auto standard) {
    return flag ? *flag : file.value_or(standard);
  };
  Sampling& s = options.sampling;
  s.seed = f.seed;
  s.repetition_penalty = either(f.repeat_penalty, config.repetition_penalty, s.repetition_penalty);
  s.temperature = either(f.temperature, config.temperature, s.temperature);
  s.top_k = either(f.top_k, config.top_k, s.top_k);
  s.top_p = either(f.top_p, config.top_p, s.top_p);
  s.min_p = either(f.min_p, config.min_p, s.min_p);
  const bool asked =
      above_zero(f.temperature) || above_zero(f.top_k) || above_zero(f.top_p) || above_zero(f.min_p);
  s.greedy = !asked || s.temperature == 0;
  options.max_new_tokens = either(f.tokens, config.max_new_tokens, options.max_new_tokens);
  options.stop = f.stop;
  options.show_special = f.special;
  if (f.ignore_eos) return options;
  options.eos = config.eos_token_id;
  if (options.eos.empty())
    options.eos.assign(model.config.eos_token_id.begin(), model.config.eos_token_id.end());
  return options;
}

/// A loaded model with its tokenizer, and what it says to people.
class Session {
 public:
  explicit Session(const Flags& flags) : flags_(flags) {
    const double start = cli::seconds();
    const cli::ProgressBar bar("loading", !flags.quiet);
    const auto folder = find_model(flags.model);
    bar.update(0, 2);
    model_ = load_model(folder);
    bar.update(1, 2);
    tokenizer_.emplace(Tokenizer::load(folder));
    bar.update(2, 2);
    const GenerationConfig config = load_generation_config(folder);
    options_ = options_for(flags, model_, config);
    for (const std::string& text : model_.notes) note(text);
    if (config.do_sample && options_.sampling.greedy)
      note("generation_config.json asks for sampling; greedy without --temp or another sampling flag");
    load_seconds_ = cli::seconds() - start;
  }

  Generated answer(const Request& request, const OnText& on_text) {
    const std::vector<TokenId> ids =
        request.prompt ? tokenizer_->encode(*request.prompt) : std::vector<TokenId>();
    const std::vector<TokenId> prefix = request.decoder_prompt ? tokenizer_->encode(*request.decoder_prompt)
                                                               : std::vector{tokenizer_->bos_id()};
    check_ids(ids, model_.config.encoder.vocab_size);
    check_lengths(std::ssize(ids), std::ssize(prefix));
    const double start = cli::seconds();
    const Matrix H = encode_with_progress(ids);
    const double encoded = cli::seconds();
    Generated made = generate(model_, *tokenizer_, H, prefix, options_, on_text);
    input_tokens_ += ids.size();
    new_tokens_ += made.ids.size() - prefix.size();
    encode_seconds_ += encoded - start;
    decode_seconds_ += cli::seconds() - encoded;
    return made;
  }

  void print_timings() const {
    if (flags_.quiet) return;
    const auto rate = [](std::size_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
    };
    std::fprintf(
        stderr,
        "load %.2f s | encode %zu tokens, %.1f tok/s | decode %zu tokens, %.1f tok/s | peak memory %.0f MB\n",
        load_seconds_, input_tokens_, rate(input_tokens_, encode_seconds_), new_tokens_,
        rate(new_tokens_, decode_seconds_), cli::peak_memory() / 1e6);
  }

 private:
  void note(const std::string& text) const {
    if (!flags_.quiet) std::cerr << "note: " << text << '\n';
  }

  void check_lengths(Index n, Index m) const {
    const auto warn = [&](const char* what, Index length, Index most) {
      if (length > most)
        note(std::string(what) + " of " + std::to_string(length) +
             " tokens is longer than max_position_embeddings " + std::to_string(most));
    };
    warn("prompt", n, model_.config.encoder.max_position_embeddings);
    warn("decoder prompt", m, model_.config.decoder.max_position_embeddings);
    // Few texts reach a large -n: count on what the model was made for at most.
    check_memory(model_.config, n,
                 m + std::min(options_.max_new_tokens, model_.config.decoder.max_position_embeddings));
  }

  Matrix encode_with_progress(const std::vector<TokenId>& ids) const {
    const cli::ProgressBar bar("encoding " + std::to_string(ids.size()) + " tokens", !flags_.quiet);
    return encode(model_, ids, [&](Index done, Index layers) {
      bar.update(done, layers);
      if (stop_requested) throw Interrupted();
    });
  }

  const Flags& flags_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
  GenerateOptions options_;
  double load_seconds_ = 0, encode_seconds_ = 0, decode_seconds_ = 0;
  std::size_t input_tokens_ = 0, new_tokens_ = 0;
};

std::string read_all(const std::string& file) {
  if (file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return read_text(file, "a text file");
}

/// False once Ctrl-C was pressed.
bool print_now(std::string_view text) {
  std::cout << text << std::flush;
  return !stop_requested && std::cout;
}

void answer_one(Session& session, const Flags& f) {
  Request request;
  if (!f.file.empty()) request.prompt = read_all(f.file);
  if (f.has_prompt) request.prompt = f.prompt;
  if (f.has_decoder_prompt) request.decoder_prompt = f.decoder_prompt;
  if (f.echo && request.decoder_prompt) print_now(*request.decoder_prompt);
  const Generated made = session.answer(request, print_now);
  if (isatty(STDOUT_FILENO) && !made.text.ends_with('\n')) print_now("\n");
}

Request read_request(const std::string& line, const std::string& where) {
  const nlohmann::json json = parse_json(line, where);
  const JsonField object(json, where);
  Request request;
  for (const std::string& key : object.keys()) {
    if (key == "prompt")
      request.prompt = object[key].text();
    else if (key == "decoder_prompt")
      request.decoder_prompt = object[key].text();
    else
      object[key].refuse("prompt and decoder_prompt only");
  }
  if (!request.prompt && !request.decoder_prompt) object["prompt"].refuse("a text");
  return request;
}

void answer_lines(Session& session, const Flags& f) {
  constexpr const char* reasons[] = {"eos", "stop", "length", "interrupted"};
  std::ifstream file;
  const bool from_file = !f.file.empty() && f.file != "-";
  if (from_file) file.open(f.file);
  if (from_file && !file) throw Error(f.file + ": cannot be read");
  std::istream& in = from_file ? file : std::cin;
  std::string line;
  for (Index number = 1; !stop_requested && std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Generated made =
        session.answer(read_request(line, (from_file ? f.file : "stdin") + " line " + std::to_string(number)),
                       [](std::string_view) { return !stop_requested; });
    std::cout << nlohmann::ordered_json{{"text", made.text},
                                        {"finish_reason", reasons[static_cast<int>(made.reason)]},
                                        {"ids", made.ids}}
                     .dump()
              << std::endl;
  }
}

int generate_program(const CLI::App& app, Flags& f) {
  f.has_prompt = app.count("--prompt") > 0;
  f.has_decoder_prompt = app.count("--decoder-prompt") > 0;
  if (f.has_prompt && !f.file.empty()) throw cli::UsageError("-p and -f: one of them, not both");
  if (f.jsonl && (f.has_prompt || f.has_decoder_prompt))
    throw cli::UsageError("--jsonl: prompts come line by line, not from -p or --decoder-prompt");
  if (!f.jsonl && !f.has_prompt && f.file.empty() && !f.has_decoder_prompt)
    throw cli::UsageError("-p, -f or --decoder-prompt is required");
  omp_set_num_threads(f.threads);
  stop_on_interrupt();
  try {
    Session session(f);
    f.jsonl ? answer_lines(session, f) : answer_one(session, f);
    session.print_timings();
  } catch (const Interrupted&) {
  }
  return stop_requested ? cli::interrupted : cli::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the text that follows a prompt.", "t5gemma2-generate");
  Flags flags;
  add_flags(app, flags);
  return cli::run(app, argc, argv, [&] { return generate_program(app, flags); });
}
