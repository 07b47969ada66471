// The binary: t5gemma2-generate ... or t5gemma2 generate ...
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "errors.hpp"
#include "habits.hpp"
#include "programs.hpp"
#include "t5gemma2/error.hpp"
#include "terminal.hpp"
#include "version_text.hpp"

namespace main_program {

struct Program {
  std::string_view name, summary;
  int (*run)(int argc, char** argv);
};

constexpr Program all_programs[] = {
    {"generate", "text from text and images", programs::generate},
    {"embed", "a vector for each text, from the encoder", programs::embed},
    {"score", "how likely texts are, given a source", programs::score},
    {"look", "a page that shows where the decoder looked", programs::look},
    {"inspect", "a checkpoint's sizes, parameters and memory", programs::inspect},
    {"tokenize", "text to token ids, and back", programs::tokenize},
    {"preprocess", "an image as the model sees it", programs::preprocess},
    {"trace", "every intermediate tensor of one pass, in a file", programs::trace},
    {"compare", "our tensors compared with transformers' or yours", programs::compare},
    {"bench", "the speed of every kernel and step on this machine", programs::bench},
};

constexpr std::string_view prefix = "t5gemma2-";

const Program* find(std::string_view name) {
  for (const Program& program : all_programs)
    if (program.name == name) return &program;
  return nullptr;
}

void list(std::ostream& out) {
  out << "Usage: t5gemma2 PROGRAM [FLAGS]\n\nThe same as t5gemma2-PROGRAM.\n\nPrograms:\n";
  for (const Program& program : all_programs)
    out << "  " << program.name << std::string(12 - program.name.size(), ' ') << program.summary << '\n';
  out << "\nt5gemma2 help PROGRAM lists its flags.\n";
}

int refuse(const std::string& word) {
  std::vector<std::string> names{"help"};
  for (const Program& program : all_programs) names.emplace_back(program.name);
  const std::string advice =
      word.starts_with('-') ? "; t5gemma2 generate takes a prompt" : cli::about_program(word, names);
  return cli::report_error("t5gemma2",
                           "expected a program, found " + word + advice + " (--help lists the programs)",
                           cli::wrong_usage);
}

/// `t5gemma2 help PROGRAM` is `t5gemma2-PROGRAM --help`.
int help(const char* word) {
  const Program* program = find(word);
  if (program == nullptr) return refuse(word);
  std::string name(word), flag = "--help";
  char* arguments[] = {name.data(), flag.data(), nullptr};
  return program->run(2, arguments);
}

int version() {
  try {
    std::cout << cli::version_of("t5gemma2") << '\n';
  } catch (const t5gemma2::Error& error) {
    return cli::report_error("t5gemma2", error.what(), cli::failed);
  }
  return cli::finish_output("t5gemma2", cli::ok);
}

}  // namespace main_program

int main(int argc, char** argv) {
  using namespace main_program;
  std::string_view called = argc > 0 ? argv[0] : "";
  called.remove_prefix(called.rfind('/') + 1);
  if (called.starts_with(prefix)) called.remove_prefix(prefix.size());
  if (const Program* program = find(called)) return program->run(argc, argv);
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (const Program* program = find(word)) return program->run(argc - 1, argv + 1);
  if (word == "help" && argc > 2) return help(argv[2]);
  if (word == "--version") {
    return version();
  } else if (word == "--help" || word == "-h" || word == "help") {
    list(std::cout);
  } else if (argc > 1) {
    return refuse(argv[1]);
  } else {
    list(std::cerr);
    return cli::wrong_usage;
  }
  return cli::finish_output("t5gemma2", cli::ok);
}
