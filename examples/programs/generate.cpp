// t5gemma2-generate: the text that follows a prompt, printed while it is generated. The text goes to stdout,
// everything else to stderr.
#include <omp.h>
#include <unistd.h>

#include <iostream>
#include <utility>

#include "ctrl_c.hpp"
#include "generation_flags.hpp"
#include "interactive.hpp"
#include "jsonl.hpp"
#include "programs.hpp"
#include "session.hpp"
#include "terminal.hpp"

namespace generate_program {

using namespace t5gemma2;
using cli::Answer, cli::Session, cli::stop_requested;

struct Flags {
  cli::SessionFlags session;
  cli::Request request;
  std::optional<std::string> file;
  bool jsonl = false, interactive = false, echo = false;
  int threads = 1;
};

void add_flags(cli::App& app, Flags& f) {
  cli::add_model(app, f.session.load.model);
  cli::add_dtype(app, f.session.load.dtype);
  cli::add_lora(app, f.session.load.lora);
  cli::add_input_flags(app, f.request.input, "text that the decoder continues", true);
  app.add_option("-f,--file", f.file,
                 "read the prompt from a file, without the newline at its end; - is stdin")
      ->value("FILE");
  app.add_flag("--pan-and-scan", f.session.load.pan_and_scan, "add crops of wide and tall images");
  app.add_flag("--jsonl", f.jsonl,
               "answer the JSON request on each line of stdin or -f with a line of JSON; see above");
  app.add_flag("-i,--interactive", f.interactive, "answer prompts line by line; /help lists commands");
  cli::add_generation_flags(app, f.request.settings);
  app.group("Output");
  app.add_flag("--special", f.session.special, "print special pieces and <unusedN> sentinels, too");
  app.add_flag("--echo", f.echo, "print the decoder prompt first");
  cli::add_threads(app, f.threads);
  cli::add_quiet(app, f.session.load.quiet);
  app.examples({R"(t5gemma2-generate "date: the 5th of march 2024")",
                "t5gemma2-generate --image examples/inputs/shapes.png describe"});
}

/// The texts that are printed.
std::vector<std::string> printed_texts(const Answer& answer) {
  std::vector<std::string> texts;
  for (const Filled& filled : answer.filled) texts.push_back(cli::underlined_text(filled));
  if (texts.empty())
    for (const Generated& made : answer.texts) texts.push_back(made.text);
  return texts;
}

constexpr const char* about =
    R"(Writes the text that follows a prompt.
Without any input flag the prompt is read from stdin, without the newline at its end. --decoder-prompt without a prompt runs the decoder alone.
Greedy unless --do-sample, --temp, --top-k, --top-p, --min-p or --typical asks for sampling: "do_sample": true in generation_config.json does not. All other values in that file are defaults, as in transformers; flags override them, and where neither sets a limit, it is 128 tokens.
A model without a tokenizer takes --input-ids and --decoder-input-ids, and the ids that it generates are printed: 5,7,9.
--fill prints the prompt with its gaps filled, once the whole answer is generated.
--jsonl: the keys are prompt, decoder_prompt, images (a list), input_ids and decoder_input_ids (lists), raw_prompt, and the flags under Length, Sampling, Beams, Gaps and Scores: n_predict, stop (a text or a list), temp, top_k, ..., early_stopping (true, false, "never"), fill. Keys override flags. Other keys are copied to the answer: {"text", "finish_reason", "ids"}, with "seed" after sampling, "sequences" where there are several, "filled" and "gaps" (null: left out) where gaps are filled, "logprobs" (a list of {"id", "text", "logprob", "rank", "top"}, one of each new token) where they are asked for. A line that cannot be answered gets "error" instead, and the exit status is 1.)";

void answer_one(Session& session, const Flags& f) {
  const cli::GracefulInterrupt graceful;
  const std::string echoed = f.echo ? f.request.input.decoder_prompt.value_or("") : "";
  std::string before = echoed;
  const Answer answer = session.answer(f.request, [&](std::string_view text) {
    cli::print_text(std::exchange(before, "").append(text));
    return !stop_requested && std::cout;
  });
  const std::vector<std::string> texts = printed_texts(answer);
  cli::print_text(answer.filled.empty() ? before : texts[0]);  // where there was no text
  for (std::size_t i = 1; i < texts.size(); ++i)               // each of several begins a line
    cli::print_text((texts[i - 1].ends_with('\n') ? "" : "\n") + echoed + texts[i]);
  if (texts.size() > 1 && !texts.back().ends_with('\n')) cli::print_text("\n");
  if (f.interactive) cli::end_answer();
  cli::note_filled(answer.texts, answer.filled, "", f.session.load.quiet);
  if (answer.seed && f.request.settings.seed.value_or(cli::at_random) == cli::at_random)
    cli::note("sampled with --seed " + std::to_string(*answer.seed), f.session.load.quiet);
}

void check_fill(const Flags& f) {
  const cli::GenerationSettings& settings = f.request.settings;
  if (settings.fill && f.request.input.input_ids)
    throw cli::UsageError("--fill: gaps are ___ in a prompt, not in --input-ids");
  if (settings.fill && (f.echo || (f.session.special && !f.jsonl)))
    throw cli::UsageError("--fill prints the prompt with its gaps filled; no --echo, no --special");
  if (settings.first_sentinel && !settings.fill && !f.jsonl)
    throw cli::UsageError("--first-sentinel: expected --fill, too");
}

/// Flags hold for each prompt; images given by flags come before its own.
int answer_prompts(Session& session, Flags f) {
  const std::vector<std::string> always = f.request.input.images;
  const auto answer = [&](const std::string& prompt, const std::vector<std::string>& images) {
    f.request.input.prompt = prompt;
    f.request.input.images = always;
    f.request.input.images_in_front = !images.empty();  // /image says where it goes
    f.request.input.images.insert(f.request.input.images.end(), images.begin(), images.end());
    try {
      answer_one(session, f);
    } catch (const cli::Interrupted&) {
    }
  };
  return cli::converse({.model = cli::shown_name(f.session.load.model),
                        .quiet = f.session.load.quiet,
                        .check_image = [&](const std::string& file) { session.check_image(file); },
                        .answer = answer});
}

void check_flags(const Flags& f) {
  const cli::Input& input = f.request.input;
  cli::check_prompt(input);
  if (input.has_text() && f.file) throw cli::UsageError("a prompt and -f: one of them, not both");
  if (f.jsonl && (!input.empty() || f.echo))
    throw cli::UsageError(
        "--jsonl: prompts and images come line by line, from stdin or -f FILE, not from flags; no --echo");
  if (f.echo && input.decoder_input_ids)
    throw cli::UsageError("--echo prints --decoder-prompt, not --decoder-input-ids");
  check_fill(f);
  if (f.request.settings.logprobs && !f.jsonl)
    throw cli::UsageError("--logprobs: expected --jsonl, too, whose answers hold them");
  if (f.interactive && (f.jsonl || input.has_text() || f.file))
    throw cli::UsageError("-i: prompts come line by line, not from flags, files or --jsonl");
}

/// Reads the prompt from its file, or from what is piped in where no other input is given.
void read_prompt(Flags& f) {
  cli::Input& input = f.request.input;
  if (!f.file && input.prompt == "-") f.file = std::exchange(input.prompt, {});
  const bool piped = !f.file && input.empty();
  if (isatty(STDIN_FILENO) != 0 && !f.file) cli::check_not_empty(input, "; -i answers prompts line by line");
  if (piped || f.file) input.prompt = cli::read_prompt(f.file.value_or("-"), f.session.load.quiet);
  if ((piped || f.file) && input.prompt->empty())
    throw cli::UsageError((f.file.value_or("-") == "-" ? "standard input" : *f.file) +
                          ": expected a prompt, found nothing; -p TEXT gives one");
  if (!f.request.settings.fill && input.prompt && input.prompt->find(gap_mark) != std::string::npos)
    cli::note("___ is a gap with --fill only", f.session.load.quiet);
}

int run(Flags& f) {
  check_flags(f);
  omp_set_num_threads(f.threads);
  if (!f.jsonl && !f.interactive) read_prompt(f);
  int code = cli::ok;
  try {
    Session session(f.session, f.request.settings);
    std::string trouble;
    if (f.jsonl)
      trouble = cli::answer_lines(session, f.file.value_or("-"), f.request, f.session.load.quiet);
    else if (f.interactive)
      code = answer_prompts(session, f);
    else
      answer_one(session, f);
    session.print_timings();
    if (!trouble.empty() && !stop_requested) throw Error(trouble);
  } catch (const cli::Interrupted&) {
  }
  return stop_requested ? cli::interrupted : code;
}

}  // namespace generate_program

int programs::generate(int argc, char** argv) {
  using namespace generate_program;
  cli::App app("t5gemma2-generate", "[FLAGS] [PROMPT]", about);
  Flags flags;
  add_flags(app, flags);
  return app.run(argc, argv, [&] { return run(flags); });
}
