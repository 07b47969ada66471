// For messages about folders without a model as transformers saves it: what they hold instead, and what
// to do.
#pragma once
#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../io/mapped_file.hpp"

namespace t5gemma2 {

/// Whether a path that a file names may lie outside that file's folder, or is none.
inline bool leaves_folder(const std::filesystem::path& path) {
  return path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end() ||
         path.native().find('\0') != std::string::npos;
}

namespace folder_detail {

/// The entries of a folder, sorted by the length of the name, then by the name, so that checkpoint-1000 comes
/// after checkpoint-500. None when the folder cannot be read.
inline std::vector<std::filesystem::path> entries(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code trouble;
  std::filesystem::directory_iterator at(folder, trouble);
  for (; !trouble && at != std::filesystem::directory_iterator(); at.increment(trouble))
    found.push_back(at->path());
  std::ranges::sort(found, {}, [](const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    return std::pair(name.size(), name);
  });
  return found;
}

/// The first file name in a folder that is `wanted` or, where `wanted` begins with a dot, ends with it; ""
/// for none.
inline std::string find_name(const std::filesystem::path& folder, std::string_view wanted) {
  for (const std::filesystem::path& entry : entries(folder)) {
    std::string name = entry.filename().string();
    if (name == wanted || (wanted.starts_with('.') && name.ends_with(wanted))) return name;
  }
  return "";
}

/// The last folder with a config.json in this one, or among the snapshots of a hub cache; "" for none.
inline std::filesystem::path model_inside(const std::filesystem::path& folder) {
  std::filesystem::path found;
  for (const std::filesystem::path& place : {folder, folder / "snapshots"})
    for (const std::filesystem::path& entry : entries(place))
      if (is_there(entry / "config.json")) found = entry;
  return found;
}

/// A file name (or its ending, with a dot), and the advice for a folder that holds such a file.
struct Clue {
  std::string_view name, advice;
};

inline constexpr std::string_view adapter =
    ", a LoRA adapter: its base model goes there, and the adapter behind --lora";
inline constexpr std::string_view convert =
    ": save it as safetensors: "
    "T5Gemma2ForConditionalGeneration.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)";
inline constexpr std::string_view no_config = " without config.json";
inline constexpr std::string_view other_name =
    ", which has to be model.safetensors or be listed in model.safetensors.index.json";
inline constexpr std::string_view other_format =
    ", another format: the safetensors that transformers saves are read";

/// The most certain clue first.
inline constexpr std::array clues{
    Clue{"adapter_config.json", adapter},
    Clue{"adapter_model.safetensors", adapter},
    Clue{"pytorch_model.bin", convert},
    Clue{"pytorch_model.bin.index.json", convert},
    Clue{"model.safetensors", no_config},
    Clue{"model.safetensors.index.json", no_config},
    Clue{".safetensors", other_name},
    Clue{".gguf", other_format},
    Clue{".onnx", other_format},
    Clue{"onnx", other_format},
    Clue{"trainer_state.json", " of a Trainer without its model: trainer.save_model(FOLDER) saves that"},
    Clue{".bin", other_format},
    Clue{".pt", other_format},
    Clue{".pth", other_format},
    Clue{".ckpt", other_format}};

}  // namespace folder_detail

/// For messages: that `hf download` has not finished, in the hub's cache or in this folder; "" when it has.
inline std::string unfinished_download(const std::filesystem::path& folder) {
  for (const auto& place : {folder / ".." / ".." / "blobs", folder / ".cache" / "huggingface" / "download"})
    if (!folder_detail::find_name(place, ".incomplete").empty())
      return "an unfinished download: run hf download again";
  return "";
}

/// For messages: what was found in a folder that lacks a file of a model, and what to do; "" when nothing in
/// it is known.
inline std::string found_instead(const std::filesystem::path& folder) {
  if (std::string unfinished = unfinished_download(folder); !unfinished.empty()) return unfinished;
  for (const folder_detail::Clue& clue : folder_detail::clues)
    if (const std::string name = folder_detail::find_name(folder, clue.name); !name.empty())
      return name + std::string(clue.advice);
  const std::filesystem::path inside = folder_detail::model_inside(folder);
  return inside.empty() ? "" : "such a folder in it: " + inside.string();
}

}  // namespace t5gemma2
