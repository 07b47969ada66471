#include "habits.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "errors.hpp"
#include "habits_tables.hpp"
#include "words.hpp"

namespace cli {

using namespace habits;

namespace {

/// An argument FLAG or FLAG=VALUE.
struct Written {
  std::string name;
  std::optional<std::string> value;
};

Written split(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals == argument.npos) return {argument, {}};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

class ArgumentReader {
 public:
  ArgumentReader(const std::vector<std::string>& arguments, const KnownFlags& known)
      : arguments_(arguments), known_(known) {}

  Understood read() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument == "--") {  // no flags from here on
        result_.arguments.insert(result_.arguments.end(), arguments_.begin() + static_cast<long>(at_),
                                 arguments_.end());
        break;
      }
      if (argument.size() < 2 || argument[0] != '-')
        result_.arguments.push_back(argument);
      else
        read_flag(split(argument), argument);
    }
    return std::move(result_);
  }

 private:
  void read_flag(Written flag, const std::string& argument) {
    flag.name = our_name(flag.name);
    if (known_.takes_value(flag.name)) {
      take(flag);
    } else if (const auto found = without_effect.find(flag.name); found != without_effect.end()) {
      ignore(flag, found->second);
    } else if (const auto other = instead.find(flag.name); other != instead.end()) {
      throw UsageError(flag.name + ": " + other->second);
    } else if (const std::string ours = our_name("-" + flag.name); known_.takes_value(ours)) {
      take({ours, flag.value});  // -temp
    } else if (argument[1] == '-' || !read_letters(argument)) {
      refuse(flag.name);
    }
  }

  /// Our name of a flag: --top-k for --top_k, --temp for --temperature; `name` itself where it is unknown.
  std::string our_name(std::string name) const {
    if (name.starts_with("--")) std::replace(name.begin(), name.end(), '_', '-');
    if (known_.takes_value(name)) return name;
    const auto twin = twins.find(name);
    const std::string ours = twin != twins.end() ? twin->second : parameter_for(name);
    return known_.takes_value(ours) ? ours : name;
  }

  /// The next argument; "" at the end.
  std::string next() const { return at_ + 1 < arguments_.size() ? arguments_[at_ + 1] : ""; }

  void ignore(const Written& flag, const WithoutEffect& what) {
    constexpr std::string_view words[] = {"on", "off", "auto", "True", "False"};
    const bool word_follows = std::find(std::begin(words), std::end(words), next()) != std::end(words);
    if (!flag.value &&
        (what.values == WithoutEffect::one || (what.values == WithoutEffect::word && word_follows)))
      ++at_;
    result_.ignored.push_back({flag.name, what.why});
  }

  /// Takes one of our flags with its value, which may look like a flag.
  void take(Written flag) {
    const bool has_value = *known_.takes_value(flag.name);
    const bool word_follows = flag.name == "--do-sample" && truth_of(next());
    if (!flag.value && (has_value || word_follows)) flag.value = value_after(flag.name);
    const auto truth = flag.value ? truth_of(*flag.value) : std::optional<bool>(true);
    if (!has_value && !truth) throw UsageError(flag.name + ": expected no value, found " + *flag.value);
    if (!has_value && !*truth) return;  // --do-sample False
    result_.arguments.push_back(flag.name);
    if (!has_value) return;
    const bool is_truth = flag.name == "--early-stopping" && truth;
    result_.arguments.push_back(!is_truth ? *flag.value : *truth ? "true" : "false");
  }

  std::string value_after(const std::string& name) {
    if (at_ + 1 == arguments_.size()) throw UsageError(name + ": expected a value, found none");
    return arguments_[++at_];
  }

  /// Truth values as Python programs take them.
  static std::optional<bool> truth_of(const std::string& word) {
    if (word == "True" || word == "true" || word == "1") return true;
    if (word == "False" || word == "false" || word == "0") return false;
    return {};
  }

  /// Reads short flags in one word, of which the last may take a value: -qn5 is -q -n 5. Returns false where
  /// a letter is no flag.
  bool read_letters(const std::string& argument) {
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const auto takes_value = known_.takes_value(std::string("-") + argument[i]);
      if (!takes_value) return false;
      if (!*takes_value) continue;
      result_.arguments.push_back(argument);
      if (i + 1 == argument.size()) result_.arguments.push_back(value_after(argument));
      return true;
    }
    result_.arguments.push_back(argument);
    return true;
  }

  [[noreturn]] void refuse(const std::string& name) const {
    std::vector<std::string> names = known_.names;
    for (const auto& table : {parameters, twins})
      for (const auto& [other, ours] : table)
        if (known_.takes_value(ours)) names.push_back(other);
    const bool is_text = name.find_first_not_of("-.0123456789") == name.npos || name.find(' ') != name.npos;
    throw UsageError(name + ": no such flag" +
                     (is_text ? "; a text that begins with - goes after --" : did_you_mean(name, names)));
  }

  const std::vector<std::string>& arguments_;
  const KnownFlags& known_;
  std::size_t at_ = 0;
  Understood result_;
};

}  // namespace

Understood understand(const std::vector<std::string>& arguments, const KnownFlags& known) {
  return ArgumentReader(arguments, known).read();
}

std::string about_ignored(const std::vector<Ignored>& flags) {
  std::vector<std::string> names, reasons;
  for (const auto& [name, why] : flags) {
    names.push_back(name);
    if (std::find(reasons.begin(), reasons.end(), why) == reasons.end()) reasons.push_back(why);
  }
  return joined(names, ", ") + ": without effect here: " + joined(reasons, ", ");
}

std::string parameter_for(const std::string& flag) {
  const auto found = parameters.find(flag);
  return found != parameters.end() ? found->second : flag;
}

std::string about_program(const std::string& word, const std::vector<std::string>& programs) {
  const auto other = other_programs.find(word);
  return other != other_programs.end() ? "; " + other->second : did_you_mean(word, programs);
}

}  // namespace cli
