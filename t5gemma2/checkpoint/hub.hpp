// Finding a model: a folder, a hub id in the local Hugging Face cache, or "pocket", the small model that
// comes with the programs. Nothing is downloaded.
//
//   CACHE/models--google--t5gemma-2-270m-270m/refs/main                holds the name of a commit
//   CACHE/models--google--t5gemma-2-270m-270m/snapshots/COMMIT/...     the model's folder
//   PREFIX/share/t5gemma2/pocket                                       of a program PREFIX/bin/PROGRAM
//
// The cache is that of huggingface_hub (its constants.py, and "Understand caching" in its documentation).
#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "../error.hpp"
#include "../io/mapped_file.hpp"
#include "../io/readable.hpp"
#include "folder_contents.hpp"

namespace t5gemma2 {

namespace hub_detail {

/// The value of an environment variable; empty when it is not set.
inline std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

/// `text` with ~ at its start, $NAME and ${NAME} replaced as Python's os.path.expanduser and expandvars do;
/// the name of a variable that is not set stays.
inline std::string expand(std::string text) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
  const std::string home = variable("HOME");
  if ((text == "~" || text.starts_with("~/")) && !home.empty()) text.replace(0, 1, home);
  for (std::size_t at = text.find('$'); at < text.size(); at = text.find('$', at)) {
    const bool braces = text.compare(at, 2, "${") == 0;
    const std::size_t start = at + (braces ? 2 : 1), close = text.find('}', start),
                      stop = braces ? close : std::min(text.find_first_not_of(letters, start), text.size());
    const std::size_t end = stop == text.npos ? start : stop + (braces ? 1 : 0);
    const char* value = stop == text.npos ? nullptr : std::getenv(text.substr(start, stop - start).c_str());
    const std::string instead = value == nullptr ? text.substr(at, end - at) : value;
    text.replace(at, end - at, instead);
    at += instead.size();
  }
  return text;
}

/// Whether `name` is valid on either side of the / in a hub id.
inline bool is_hub_name(std::string_view name) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !name.empty() && name.size() <= 96 && name.find_first_not_of(letters) == name.npos && name[0] != '.';
}

inline bool is_hub_id(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != text.npos && is_hub_name(text.substr(0, slash)) && is_hub_name(text.substr(slash + 1));
}

/// Folders that may hold the pocket model: beside the folder of this program, then that of the CMake package.
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

/// The main snapshot in `cached`, the folder of the repository `model` in the cache. Throws Error saying what
/// was found there instead.
inline std::filesystem::path main_snapshot(const std::string& model, const std::filesystem::path& cached) {
  std::error_code ignored;  // a path that cannot be examined counts as missing
  std::string commit;
  std::ifstream(cached / "refs" / "main") >> commit;
  const bool is_name =
      !commit.empty() && commit.find('/') == std::string::npos && commit != "." && commit != "..";
  if (is_name && std::filesystem::is_directory(cached / "snapshots" / commit, ignored))
    return cached / "snapshots" / commit;
  const std::vector<std::filesystem::path> snapshots = folder_detail::entries(cached / "snapshots");
  const std::string download = "hf download " + model;
  if (!commit.empty() || !snapshots.empty()) {
    throw Error(model + ": expected a snapshot named by " + (cached / "refs" / "main").string() + ", found " +
                (commit.empty() ? (is_there(cached / "refs" / "main") ? "an empty file" : "no such file")
                                : readable(commit) + ", which is not there") +
                (snapshots.empty() ? ""
                                   : "; a snapshot that is there can be given by its folder, " +
                                         snapshots.back().string()) +
                "; to download it: " + download);
  }
  throw Error(
      model +
      ": expected a model folder or a hub id in the local cache, found no such folder and nothing in " +
      cached.string() +
      "; to download it (its licence has to be accepted on the model's page first): hf auth login; " +
      download);
}

}  // namespace hub_detail

/// The folder of the pocket model. Throws Error naming the folders searched.
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
  using hub_detail::expand, hub_detail::variable;
  for (const char* cache : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (!variable(cache).empty()) return expand(variable(cache));
  const std::string xdg = variable("XDG_CACHE_HOME"), home = variable("HF_HOME");
  const std::string caches = xdg.empty() ? "~/.cache" : xdg;
  return expand(expand(home.empty() ? caches + "/huggingface" : home) + "/hub");
}

/// The folder of `model`: the folder of that name, else the main snapshot of that hub id
/// (google/t5gemma-2-270m-270m) in the cache. "pocket" is the model that comes with the programs, unless the
/// working directory holds a model in a folder of that name. Throws Error saying what was searched and how to
/// get the model.
inline std::filesystem::path find_model(std::string model) {
  while (model.size() > 1 && model.ends_with('/'))
    model.pop_back();       // added by the shell when it completes a name
  std::error_code ignored;  // a path that cannot be examined counts as missing
  if (model == "pocket" && !std::filesystem::exists("pocket/config.json", ignored)) return pocket_model();
  if (std::filesystem::is_directory(model, ignored)) return model;
  if (is_there(model)) {
    const bool is_file = std::filesystem::exists(model, ignored);
    throw Error(readable(model) + ": expected a model folder, found " +
                (is_file ? "a file; a model is the folder with config.json and safetensors"
                         : describe_missing(model)));
  }
  if (!hub_detail::is_hub_id(model)) {
    throw Error(readable(model) +
                ": expected a model folder or a hub id (google/t5gemma-2-270m-270m), found neither; pocket "
                "is the small one that comes with the programs");
  }
  std::string name = "models--" + model;
  name.replace(name.find('/'), 1, "--");
  return hub_detail::main_snapshot(model, hub_cache() / name);
}

}  // namespace t5gemma2
