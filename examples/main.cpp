// t5gemma2-generate ... or t5gemma2 generate ...
#include <iostream>
#include <string>
#include <string_view>

#include "cli.hpp"
#include "programs.hpp"
#include "t5gemma2/version.hpp"

namespace {

struct Program {
  std::string_view name, summary;
  int (*run)(int argc, char** argv);
};

constexpr Program all_programs[] = {
    {"generate", "text out, given text and pictures", programs::generate},
    {"look", "a page that shows where the decoder looked", programs::look},
    {"inspect", "a checkpoint's sizes, parameters and memory", programs::inspect},
    {"tokenize", "text to token ids, and back", programs::tokenize},
    {"preprocess", "a picture as the model sees it", programs::preprocess},
    {"trace", "every intermediate tensor of one pass, to a file", programs::trace},
    {"compare", "another implementation's tensors against ours", programs::compare},
};

constexpr std::string_view prefix = "t5gemma2-";

const Program* find(std::string_view name) {
  for (const Program& program : all_programs)
    if (program.name == name) return &program;
  return nullptr;
}

void list(std::ostream& out) {
  out << "Usage: t5gemma2 PROGRAM ..., which is t5gemma2-PROGRAM ...; --help lists its flags\n\n";
  for (const Program& program : all_programs)
    out << "  " << program.name << std::string(12 - program.name.size(), ' ') << program.summary << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view called = argc > 0 ? argv[0] : "";
  called.remove_prefix(called.rfind('/') + 1);
  if (called.starts_with(prefix)) called.remove_prefix(prefix.size());
  if (const Program* program = find(called)) return program->run(argc, argv);
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (const Program* program = find(word)) return program->run(argc - 1, argv + 1);
  if (word == "--version") {
    std::cout << t5gemma2::version << '\n';
  } else if (word == "--help" || word == "-h") {
    list(std::cout);
  } else {
    std::cerr << "t5gemma2: error: expected a program, found " << (argc > 1 ? word : "none") << '\n';
    list(std::cerr);
    return cli::wrong_usage;
  }
  return cli::ok;
}
