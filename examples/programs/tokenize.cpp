// t5gemma2-tokenize: text from a flag or stdin to token ids on stdout, or back. All of stdin is text,
// including a newline at its end.
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common_flags.hpp"
#include "files.hpp"
#include "ids.hpp"
#include "programs.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "t5gemma2/tokenizer/tokenizer_config.hpp"
#include "terminal.hpp"

namespace tokenize_program {

using t5gemma2::TokenId;

struct Flags {
  cli::ModelName model;
  std::optional<std::string> text;
  bool decode = false, jsonl = false, special = false, quiet = false;
};

/// The text of `ids`. A person wrote these, so each must have a piece, unlike those that a model generates.
std::string decode(const t5gemma2::Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool special,
                   const std::string& where) {
  for (const TokenId id : ids)
    if (tokenizer.piece(id).empty())
      t5gemma2::fail(where, "token id", "one with a piece", std::to_string(id));
  return tokenizer.decode(ids, special);
}

void convert_lines(const t5gemma2::Tokenizer& tokenizer, const Flags& flags) {
  const char* const lines =
      flags.decode ? "JSON arrays of token ids, one a line," : "JSON strings, one a line,";
  cli::note_waiting(lines, flags.quiet);
  std::string line;
  for (int number = 1; cli::next_line(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = "stdin line " + std::to_string(number);
    const nlohmann::json value = t5gemma2::parse_json(line, where);
    const t5gemma2::JsonField field(value, where);
    const nlohmann::json result =
        flags.decode ? nlohmann::json(decode(tokenizer, cli::ids_in(field), flags.special, where))
                     : nlohmann::json(tokenizer.encode(field.text()));
    std::cout << result.dump() << '\n';
  }
}

std::string read_stdin(const Flags& flags) {
  cli::note_waiting(flags.decode ? "token ids" : "text", flags.quiet);
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  cli::check_stdin();
  cli::end_typed_line(std::cin, text);
  return text;
}

void convert_all(const t5gemma2::Tokenizer& tokenizer, const Flags& flags) {
  const std::string text = flags.text ? *flags.text : read_stdin(flags);
  if (flags.decode) {
    cli::print_text(decode(tokenizer, cli::parse_ids(text, "ids"), flags.special, "ids"));
    return;
  }
  const char* between = "";
  for (const TokenId id : tokenizer.encode(text)) std::cout << std::exchange(between, " ") << id;
  std::cout << '\n';
}

}  // namespace tokenize_program

int programs::tokenize(int argc, char** argv) {
  using namespace tokenize_program;
  cli::App app(
      "t5gemma2-tokenize", "[FLAGS] [TEXT]",
      "Writes the token ids of a text to stdout, <bos> first, as the model gets them.\n"
      "Without -p the text is all of stdin, with the newline at its end: use printf rather than echo.");
  Flags flags;
  cli::add_model(app, flags.model, false, "folder, hub id, tokenizer.json or tokenizer.model");
  cli::Option* prompt = app.add_option("-p,--prompt", flags.text, "the text, or with --decode the ids");
  cli::Option* word = app.add_option("TEXT", flags.text, "the same, without -p")->excludes(prompt);
  app.group("Output");
  cli::Option* decode = app.add_flag(
      "--decode", flags.decode, "turn token ids into text: 2,5,7, or with spaces; each must have a piece");
  app.add_flag("--special", flags.special, "print special pieces such as <bos>, too")->needs(decode);
  app.add_flag("--jsonl", flags.jsonl,
               "turn each line, a JSON string, into a JSON array of ids (--decode: back)")
      ->excludes(prompt)
      ->excludes(word);
  cli::add_quiet(app, flags.quiet);
  app.examples(
      {R"(t5gemma2-tokenize -p "sort: ox cat")", "echo 2 318 316 318 320 | t5gemma2-tokenize --decode"});
  return app.run(argc, argv, [&] {
    const bool is_file = flags.model && std::filesystem::is_regular_file(*flags.model);
    const std::filesystem::path from =
        is_file ? std::filesystem::path(*flags.model) : cli::model_folder(flags.model, flags.quiet);
    const auto tokenizer = t5gemma2::Tokenizer::load(from);
    for (const std::string& note : t5gemma2::tokenizer_config_notes(from, tokenizer))
      cli::note(note, flags.quiet);
    flags.jsonl ? convert_lines(tokenizer, flags) : convert_all(tokenizer, flags);
    return cli::ok;
  });
}
