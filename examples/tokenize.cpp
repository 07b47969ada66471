// t5gemma2-tokenize: text, from a flag or stdin -> token ids on stdout, or back. All of stdin counts, a
// newline at its end too.
#include <charconv>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model_flag.hpp"
#include "programs.hpp"
#include "t5gemma2/json_fields.hpp"
#include "t5gemma2/tokenizer_config.hpp"
#include "terminal.hpp"

namespace tokenize_program {

using t5gemma2::TokenId;

struct Options {
  cli::ModelName model;
  std::optional<std::string> text;
  bool decode = false, jsonl = false, special = false, quiet = false;
};

/// Numbers between white space.
std::vector<TokenId> parse_ids(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  std::vector<TokenId> ids;
  for (std::size_t at = text.find_first_not_of(white); at < text.size();
       at = text.find_first_not_of(white, at)) {
    const std::string_view word = text.substr(at, text.find_first_of(white, at) - at);
    TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size()) {
      t5gemma2::fail("ids", "byte " + std::to_string(at), "a token id", t5gemma2::in_quotes(word));
    }
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

/// A line's JSON array of ids.
std::vector<TokenId> ids_in(const t5gemma2::JsonField& line) {
  std::vector<TokenId> ids;
  for (const auto& id : line.items()) {
    ids.push_back(static_cast<TokenId>(id.integer(0, std::numeric_limits<TokenId>::max())));
  }
  return ids;
}

/// The text of `ids`, which someone wrote: unlike those that a model draws, each must have a piece.
std::string decode(const t5gemma2::Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool special,
                   const std::string& where) {
  for (const TokenId id : ids)
    if (tokenizer.piece(id).empty())
      t5gemma2::fail(where, "token id", "one with a piece", std::to_string(id));
  return tokenizer.decode(ids, special);
}

void convert_lines(const t5gemma2::Tokenizer& tokenizer, const Options& options) {
  const char* const lines =
      options.decode ? "JSON arrays of token ids, one a line," : "JSON strings, one a line,";
  cli::note_waiting(lines, options.quiet);
  std::string line;
  for (int number = 1; std::getline(std::cin, line); ++number) {
    if (std::cin.eof()) cli::end_typed_line(std::cin, line);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = "stdin line " + std::to_string(number);
    const nlohmann::json value = t5gemma2::parse_json(line, where);
    const t5gemma2::JsonField field(value, where);
    const nlohmann::json result =
        options.decode ? nlohmann::json(decode(tokenizer, ids_in(field), options.special, where))
                       : nlohmann::json(tokenizer.encode(field.text()));
    std::cout << result.dump() << '\n';
  }
  cli::check_stdin();
}

std::string read_stdin(const Options& options) {
  cli::note_waiting(options.decode ? "token ids" : "text", options.quiet);
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  cli::check_stdin();
  cli::end_typed_line(std::cin, text);
  return text;
}

void convert_all(const t5gemma2::Tokenizer& tokenizer, const Options& options) {
  const std::string text = options.text ? *options.text : read_stdin(options);
  if (options.decode) {
    cli::print_text(decode(tokenizer, parse_ids(text), options.special, "ids"));
    return;
  }
  const char* between = "";
  for (const TokenId id : tokenizer.encode(text)) std::cout << std::exchange(between, " ") << id;
  std::cout << '\n';
}

}  // namespace tokenize_program

int programs::tokenize(int argc, char** argv) {
  using namespace tokenize_program;
  cli::App app("t5gemma2-tokenize", "[FLAGS] [TEXT]",
               "Text to token ids on stdout, <bos> first, as the model gets them.\n"
               "Without -p all of stdin is text, the newline at its end too: use printf rather than echo.");
  Options options;
  cli::add_model(app, options.model, false, "folder, hub id, tokenizer.json or tokenizer.model");
  cli::Option* prompt = app.add_option("-p,--prompt", options.text, "the text, or with --decode the ids");
  cli::Option* word = app.add_option("TEXT", options.text, "the same, without -p")->excludes(prompt);
  app.group("Output");
  cli::Option* decode = app.add_flag("--decode", options.decode,
                                     "token ids that have a piece, separated by white space, to text");
  app.add_flag("--special", options.special, "show special pieces such as <bos>, too")->needs(decode);
  app.add_flag("--jsonl", options.jsonl,
               "a JSON string a line to a JSON array of ids a line (--decode: back)")
      ->excludes(prompt)
      ->excludes(word);
  cli::add_quiet(app, options.quiet);
  app.examples(
      {R"(t5gemma2-tokenize -p "sort: ox cat")", "echo 2 318 316 318 320 | t5gemma2-tokenize --decode"});
  return app.run(argc, argv, [&] {
    const bool is_file = options.model && std::filesystem::is_regular_file(*options.model);
    const std::filesystem::path from =
        is_file ? std::filesystem::path(*options.model) : cli::model_folder(options.model, options.quiet);
    const auto tokenizer = t5gemma2::Tokenizer::load(from);
    for (const std::string& note : t5gemma2::tokenizer_config_notes(from, tokenizer))
      cli::note(note, options.quiet);
    options.jsonl ? convert_lines(tokenizer, options) : convert_all(tokenizer, options);
    return cli::ok;
  });
}
