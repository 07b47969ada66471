#include "habits.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "cli.hpp"

namespace cli {

namespace {

/// Other names for ours.
const std::map<std::string, std::string> twins = {
    {"--temperature", "--temp"},
    {"--predict", "--n-predict"},
    {"--num-predict", "--n-predict"},
    {"--max-new-tokens", "--n-predict"},
    {"--max-tokens", "--n-predict"},
    {"--repetition-penalty", "--repeat-penalty"},
    {"--typical-p", "--typical"},
    {"--stop-strings", "--stop"},
    {"-r", "--stop"},
    {"--reverse-prompt", "--stop"},
    {"-hf", "--model"},
    {"--hf-repo", "--model"},
    {"--model-name-or-path", "--model"},
};

/// Flags of others that change nothing here, and how many values follow.
const std::map<std::string, int> without_effect = {
    {"-c", 1},
    {"--ctx-size", 1},
    {"-ngl", 1},
    {"--gpu-layers", 1},
    {"--n-gpu-layers", 1},
    {"--color", 0},
    {"-co", 0},
    {"-no-cnv", 0},
    {"--no-conversation", 0},
    {"-st", 0},
    {"--single-turn", 0},
    {"--simple-io", 0},
    {"--no-display-prompt", 0},
    {"--no-warmup", 0},
    {"--mlock", 0},
    {"--no-mmap", 0},
    {"-b", 1},
    {"--batch-size", 1},
    {"-ub", 1},
    {"--ubatch-size", 1},
};

/// Flags of others that cannot be had here, and what can.
const std::map<std::string, std::string> instead = {
    {"-cnv", "these models continue and fill texts, they do not chat; -i reads a prompt a line"},
    {"--conversation", "these models continue and fill texts, they do not chat; -i reads a prompt a line"},
    {"-sys", "these models know no system prompt; write it into the prompt"},
    {"--system-prompt", "these models know no system prompt; write it into the prompt"},
    {"--mmproj", "the vision encoder lies in the model's own folder; --image FILE is enough"},
    {"--do-sample", "--temp 1 samples"},
};

/// Letters to insert, delete, replace or swap with their neighbour to get from one word to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      next[j + 1] = std::min({row[j + 1] + 1, next[j] + 1, row[j] + (a[i] == b[j] ? 0U : 1U)});
      const bool swapped = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
      if (swapped) next[j + 1] = std::min(next[j + 1], before[j - 1] + 1);
    }
    before = std::exchange(row, next);
  }
  return row.back();
}

/// A flag alone, and its value where one is attached by =.
struct Written {
  std::string name;
  std::optional<std::string> value;
};

Written split(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals == argument.npos) return {argument, {}};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

class Reader {
 public:
  Reader(const std::vector<std::string>& arguments, const KnownFlags& known)
      : arguments_(arguments), known_(known) {}

  Understood read() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument == "--") {  // from here on nothing is a flag
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
      result_.ignored.push_back(flag.name);
      if (!flag.value && found->second == 1) ++at_;
    } else if (const auto other = instead.find(flag.name); other != instead.end()) {
      throw UsageError(flag.name + ": " + other->second);
    } else if (argument[1] == '-' || !read_letters(argument)) {
      refuse(flag.name);
    }
  }

  /// --top_k is --top-k; then the flag that it is another name for.
  std::string our_name(std::string name) const {
    if (name.starts_with("--")) std::replace(name.begin(), name.end(), '_', '-');
    if (known_.takes_value(name)) return name;
    const std::string ours = ours_for(name);
    return known_.takes_value(ours) ? ours : name;
  }

  /// A flag of ours, and its value, which may look like a flag.
  void take(const Written& flag) {
    const bool has_value = *known_.takes_value(flag.name);
    const bool in_next = has_value && !flag.value && at_ + 1 < arguments_.size();
    if (!has_value && flag.value) throw UsageError(flag.name + ": expected no value, found " + *flag.value);
    result_.arguments.push_back(flag.name);
    if (flag.value) result_.arguments.push_back(*flag.value);
    if (in_next) result_.arguments.push_back(arguments_[++at_]);
  }

  /// -qn5 is -q -n 5: short flags in one word, of which the last may take a value.
  bool read_letters(const std::string& argument) {
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const auto takes_value = known_.takes_value(std::string("-") + argument[i]);
      if (!takes_value) return false;
      if (!*takes_value) continue;
      result_.arguments.push_back(argument);
      if (i + 1 == argument.size() && at_ + 1 < arguments_.size())
        result_.arguments.push_back(arguments_[++at_]);
      return true;
    }
    result_.arguments.push_back(argument);
    return true;
  }

  [[noreturn]] void refuse(const std::string& name) const {
    std::vector<std::string> names = known_.names;
    for (const auto& [twin, ours] : twins)
      if (known_.takes_value(ours)) names.push_back(twin);
    const auto far = [&](const std::string& other) { return distance(name, other); };
    const auto nearest = std::min_element(names.begin(), names.end(),
                                          [&](const auto& a, const auto& b) { return far(a) < far(b); });
    const bool near = nearest != names.end() && far(*nearest) <= std::max<std::size_t>(1, name.size() / 3);
    const bool is_number = name.find_first_not_of("-.0123456789") == name.npos;
    throw UsageError(name + ": no such flag" +
                     (near && !is_number ? "; did you mean " + *nearest + "?" : "") +
                     (is_number ? "; a text that begins with - goes behind --" : ""));
  }

  const std::vector<std::string>& arguments_;
  const KnownFlags& known_;
  std::size_t at_ = 0;
  Understood result_;
};

}  // namespace

Understood understand(const std::vector<std::string>& arguments, const KnownFlags& known) {
  return Reader(arguments, known).read();
}

std::string ours_for(const std::string& flag) {
  const auto twin = twins.find(flag);
  return twin != twins.end() ? twin->second : flag;
}

}  // namespace cli
