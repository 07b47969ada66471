// What people type who know llama.cpp or Hugging Face: other names of our flags, flags that have nothing to
// do here, and flags mistyped.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cli {

/// The flags of a program, by their names as typed: whether one takes a value; none when it has no such flag.
struct KnownFlags {
  std::function<std::optional<bool>(const std::string& name)> takes_value;
  std::vector<std::string> names;
};

/// A flag without effect here.
struct Ignored {
  std::string name, why;
};

struct Understood {
  std::vector<std::string> arguments;  // with our names
  std::vector<Ignored> ignored;
};

/// The arguments (without the program's name) in our words: --top_k is --top-k, --temperature is --temp, -ngl
/// 99 is taken out. Throws UsageError for a flag that nobody knows, with the nearest one that somebody does.
Understood understand(const std::vector<std::string>& arguments, const KnownFlags& known);

/// "; did you mean NEAREST?"; empty where none of `words` is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& words);

/// Our flag for which a parameter of transformers or of another engine's interface is the name, --temp for
/// --temperature; else `flag` itself.
std::string parameter_for(const std::string& flag);

/// What to say behind a word that is none of our programs: "; did you mean NEAREST?", or which of them is
/// what others call so.
std::string about_program(const std::string& word, const std::vector<std::string>& programs);

}  // namespace cli
