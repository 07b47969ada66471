// Words of people who know llama.cpp, ollama or transformers: other names of our flags, flags without effect
// here, and mistyped flags.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cli {

/// The flags of a program.
struct KnownFlags {
  /// Whether the flag of this name takes a value; none when there is no such flag.
  std::function<std::optional<bool>(const std::string& name)> takes_value;
  std::vector<std::string> names;
};

/// A flag without effect here, and the reason.
struct Ignored {
  std::string name, why;
};

struct Understood {
  std::vector<std::string> arguments;  // with our names
  std::vector<Ignored> ignored;
};

/// Translates the arguments (without the program's name): --top_k becomes --top-k, --temperature becomes
/// --temp, -ngl 99 is taken out. Throws UsageError for an unknown flag, and names the closest known one.
Understood understand(const std::vector<std::string>& arguments, const KnownFlags& known);

/// "-c, -ngl: without effect here: ..." with each reason once.
std::string about_ignored(const std::vector<Ignored>& flags);

/// Our flag for a parameter of transformers or of another engine, such as --temp for --temperature; `flag`
/// itself where it is none.
std::string parameter_for(const std::string& flag);

/// The advice after a word that is none of our programs: "; did you mean NEAREST?", or our program in place
/// of another engine's.
std::string about_program(const std::string& word, const std::vector<std::string>& programs);

}  // namespace cli
