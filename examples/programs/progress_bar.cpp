#include "progress_bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include "resources.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

/// "0:12" or "1:02:03"
std::string clock_text(double time) {
  const long whole = std::lround(std::ceil(time)), hours = whole / 3600;
  char text[32];
  if (hours > 0)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", hours, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

/// At most `room` columns. Where that is too few, the bar is shortened, then left out, then the pace, then
/// all words of the title but the first.
std::string bar_text(const std::string& title, long done, long all, const std::string& pace,
                     std::size_t room) {
  constexpr std::size_t widest = 31, narrowest = 4;
  const std::string count = std::to_string(done) + (all > 0 ? "/" + std::to_string(all) : "");
  const std::size_t around = title.size() + count.size() + pace.size() + 4;  // " [" and "] "
  if (all > 0 && room >= around + narrowest) {
    const std::size_t width = std::min(widest, room - around);
    std::string filled(static_cast<std::size_t>(static_cast<long>(width - 1) * done / all), '=');
    filled += done < all ? '>' : '=';
    filled.resize(width, ' ');
    return title + " [" + filled + "] " + count + pace;
  }
  for (const std::string& words : {title + " ", title.substr(0, title.find(' ')) + " ", std::string()})
    for (const std::string& number : {count + pace, count})
      if (room >= words.size() + number.size()) return words + number;
  return {};
}

}  // namespace

std::string ProgressBar::pace(long done, long all) {
  const double now = seconds(), time = now - began_;
  const bool goes_on = all == all_ && done >= last_;
  last_ = done;
  if (!goes_on) {
    began_ = now;
    first_ = done;
    all_ = all;
  }
  if (!goes_on || time < 1 || done == first_) return {};
  const double rate = static_cast<double>(done - first_) / time;
  if (all > 0) return " " + clock_text(static_cast<double>(all - done) / rate);
  char text[32];
  std::snprintf(text, sizeof text, ", %.*f/s", rate < 10 ? 1 : 0, rate);
  return text;
}

void ProgressBar::update(long done, long all) {
  if (!shown_ || !can_redraw()) return;
  constexpr std::size_t kept_free = 3;  // for ^C and the cursor
  const std::string behind = pace(done, all);
  const std::size_t width = columns(STDERR_FILENO), room = width - std::min(width, kept_free);
  show_bar(bar_text(title_, done, all, behind, room));
}

void ProgressBar::clear() const { clear_bar(); }

}  // namespace cli
