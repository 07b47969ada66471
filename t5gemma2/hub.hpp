// Where a model is: a folder, a hub id looked up in the local Hugging Face cache, or "pocket", the small
// model that comes with the programs. Nothing is downloaded.
//
//   PREFIX/bin/PROGRAM, PREFIX/share/t5gemma2/pocket                       in the build folder, too
//   CACHE/models--google--t5gemma-2-270m-270m/refs/main                    holds the name of a commit
//   CACHE/models--google--t5gemma-2-270m-270m/snapshots/<commit>/...       the model's folder
//
// Reference: huggingface_hub.constants, "Understand caching" in its documentation.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "error.hpp"
#include "json_fields.hpp"

namespace t5gemma2 {

namespace hub_detail {

/// The path in an environment variable, with ~ as the home folder; empty when unset.
inline std::filesystem::path path_in(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string text = value == nullptr ? "" : value;
  const bool in_home = text == "~" || text.starts_with("~/");
  const char* home = std::getenv("HOME");
  return in_home && home != nullptr ? home + text.substr(1) : text;
}

/// Whether `name` may stand on either side of the / in a hub id.
inline bool is_hub_name(std::string_view name) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !name.empty() && name.size() <= 96 && name.find_first_not_of(letters) == name.npos && name[0] != '.';
}

inline bool is_hub_id(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != text.npos && is_hub_name(text.substr(0, slash)) && is_hub_name(text.substr(slash + 1));
}

/// Where the pocket model may lie: beside the folder of this program, then where the CMake package says.
inline std::vector<std::filesystem::path> pocket_places() {
  std::error_code none;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", none);
  std::vector<std::filesystem::path> places;
  if (!none) places.push_back(program.parent_path().parent_path() / "share" / "t5gemma2" / "pocket");
#ifdef T5GEMMA2_SHARE
  places.push_back(std::filesystem::path(T5GEMMA2_SHARE) / "pocket");
#endif
  return places;
}

}  // namespace hub_detail

/// The folder of the pocket model. Throws Error naming where it looked.
inline std::filesystem::path pocket_model() {
  std::string looked;
  for (const std::filesystem::path& place : hub_detail::pocket_places()) {
    std::error_code ignored;
    if (std::filesystem::exists(place / "config.json", ignored)) return place;
    looked += (looked.empty() ? "" : " or ") + readable(place.string());
  }
  throw Error("pocket: expected the small model that comes with the programs, found none in " + looked);
}

/// The Hugging Face cache: $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub,
/// $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub.
inline std::filesystem::path hub_cache() {
  using hub_detail::path_in;
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (!path_in(variable).empty()) return path_in(variable);
  }
  if (!path_in("HF_HOME").empty()) return path_in("HF_HOME") / "hub";
  if (!path_in("XDG_CACHE_HOME").empty()) return path_in("XDG_CACHE_HOME") / "huggingface" / "hub";
  return path_in("HOME") / ".cache" / "huggingface" / "hub";
}

/// The folder of `model`: the folder itself, the main snapshot of a hub id (google/t5gemma-2-270m-270m) in
/// the cache, or for "pocket", unless a model lies in ./pocket, the one that comes with the programs. Throws
/// Error saying where it looked and how to get the model.
inline std::filesystem::path find_model(const std::string& model) {
  std::error_code ignored;  // what cannot be looked at is not there
  if (model == "pocket" && !std::filesystem::exists("pocket/config.json", ignored)) return pocket_model();
  if (std::filesystem::is_directory(model, ignored)) return model;
  if (std::filesystem::exists(model, ignored))
    throw Error(readable(model) + ": expected a model folder, found a file");
  if (!hub_detail::is_hub_id(model)) {
    throw Error(readable(model) +
                ": expected a model folder or a hub id (google/t5gemma-2-270m-270m), found neither");
  }
  std::string name = "models--" + model;
  name.replace(name.find('/'), 1, "--");
  const std::filesystem::path cached = hub_cache() / name;
  std::string commit;
  std::ifstream(cached / "refs" / "main") >> commit;
  const bool is_name = !commit.empty() && commit.find('/') == std::string::npos && commit != "..";
  if (is_name && std::filesystem::is_directory(cached / "snapshots" / commit, ignored))
    return cached / "snapshots" / commit;
  throw Error(
      model +
      ": expected a model folder or a hub id in the local cache, found no such folder and nothing in " +
      cached.string() +
      "; to download it (its licence has to be accepted on the model's page first): hf auth login; " +
      "hf download " + model);
}

}  // namespace t5gemma2
