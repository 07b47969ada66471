// The settings of generation as flags.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app.hpp"
#include "generation_settings.hpp"
#include "words.hpp"

namespace cli {

/// Adds a flag for each setting that it is called with.
class SettingFlags {
 public:
  explicit SettingFlags(App& app) : app_(app) {}

  using Text = const std::string&;
  void operator()(Text names, std::optional<Index>& value, Range r, Text description) const {
    app_.add_option(names, value, description)
        ->check(integer_in(static_cast<Index>(r.low), static_cast<Index>(r.high)));
  }
  void operator()(Text names, std::optional<double>& value, Range r, Text description) const {
    app_.add_option(names, value, description)->check(number_in(r.low, r.high));
  }
  void operator()(Text names, std::optional<std::string>& value, const std::vector<std::string>& words,
                  Text description) const {
    app_.add_option(names, value, description)->value(joined(words, "|"))->check(one_of(words));
  }
  void operator()(Text names, std::vector<std::string>& values, Text description) const {
    app_.add_option(names, values, description)->allow_extra_args(false)->check(utf8_text());
  }
  void operator()(Text names, bool& value, Text description) const {
    app_.add_flag(names, value, description);
  }

 private:
  App& app_;
};

inline void add_generation_flags(App& app, GenerationSettings& s) {
  const SettingFlags add(app);
  app.group("Length");
  for_each_length_setting(s, add);
  app.group("Sampling");
  for_each_sampling_setting(s, add);
  app.group("Beams");
  for_each_beam_setting(s, add);
  app.group("Gaps");
  for_each_gap_setting(s, add);
  app.group("Scores");
  for_each_score_setting(s, add);
}

}  // namespace cli
