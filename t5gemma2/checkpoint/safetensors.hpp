// Safetensors files, memory-mapped, and the tensors of a checkpoint folder: those of one file,
// model.safetensors, or of the shards listed in model.safetensors.index.json.
//
// Opening a file reads only its header. The numbers of a tensor stay in the mapped file and are read from the
// disk when they are first used. The exception is a tensor that does not begin at a multiple of its number
// size, which the format allows: it is copied when the file is opened.
#pragma once
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "../error.hpp"
#include "../io/mapped_file.hpp"
#include "folder_contents.hpp"
#include "safetensors_header.hpp"
#include "stored_tensor.hpp"

namespace t5gemma2 {

using StoredTensors = std::map<std::string, StoredTensor, std::less<>>;

/// One memory-mapped safetensors file.
class SafetensorsFile {
 public:
  /// Throws Error when the file is missing or its header is wrong.
  static SafetensorsFile open(const std::filesystem::path& path) {
    SafetensorsFile file(path);
    SafetensorsHeader header = read_safetensors_header(file.map_.bytes(), path.string());
    file.metadata_ = std::move(header.metadata);
    for (TensorEntry& entry : header.tensors) file.add(std::move(entry));
    return file;
  }

  const StoredTensors& tensors() const { return tensors_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }
  void release_pages() const { map_.release_pages(); }

 private:
  explicit SafetensorsFile(const std::filesystem::path& path)
      : path_(path), map_(path, "a safetensors file") {}

  void add(TensorEntry entry) {
    const std::size_t bytes = entry.end - entry.begin,
                      alignment = std::max<std::size_t>(1, bits_of(entry.dtype) / 8);
    const std::byte* data = map_.bytes().data() + entry.begin;
    if (entry.begin % alignment != 0) {  // the map itself begins on a page
      copies_.push_back(std::make_unique<std::byte[]>(bytes));
      data = static_cast<const std::byte*>(std::memcpy(copies_.back().get(), data, bytes));
    }
    std::string name = entry.name;
    tensors_[std::move(name)] = {std::move(entry.name), entry.dtype, std::move(entry.shape), data, bytes,
                                 path_.string()};
  }

  std::filesystem::path path_;
  MappedFile map_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;
  StoredTensors tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

namespace safetensors_detail {

/// All shards that the index `index` names, sorted by name. Throws Error when one cannot be opened or lacks a
/// tensor that the index says it holds.
inline std::vector<SafetensorsFile> open_shards(const std::filesystem::path& folder,
                                                const std::filesystem::path& index) {
  const nlohmann::json json = parse_json(read_text(index, "an index of shards"), index.string());
  const JsonField weight_map = JsonField(json, index.string())["weight_map"];
  std::map<std::string, SafetensorsFile> shards;
  for (const std::string& name : weight_map.keys()) {
    const JsonField field = weight_map[name];
    const std::filesystem::path shard = field.text();
    if (leaves_folder(shard) || shard.empty()) field.refuse("a file in this folder");
    auto opened = shards.find(field.text());
    if (opened == shards.end()) {
      const std::string why = is_there(folder / shard) ? "" : unfinished_download(folder);
      if (!why.empty()) fail_file((folder / shard).string(), "a safetensors file", why);
      opened = shards.emplace(field.text(), SafetensorsFile::open(folder / shard)).first;
    }
    if (!opened->second.tensors().contains(name)) {
      fail((folder / shard).string(), readable(name), "the tensor, as " + index.string() + " says",
           "nothing");
    }
  }
  if (shards.empty()) weight_map.refuse("a shard for each tensor");
  std::vector<SafetensorsFile> files;
  for (auto& shard : shards) files.push_back(std::move(shard.second));
  return files;
}

}  // namespace safetensors_detail

/// All tensors of a checkpoint folder under their names in the files.
class Checkpoint {
 public:
  /// Opens model.safetensors, or else every shard of model.safetensors.index.json. Throws Error when
  /// neither is there, a shard is missing, outside the folder or not as the index says, or two shards hold
  /// the same tensor.
  static Checkpoint open(const std::filesystem::path& folder) {
    const std::filesystem::path single = folder / "model.safetensors",
                                index = folder / "model.safetensors.index.json";
    const std::string expected = "a folder with model.safetensors or model.safetensors.index.json";
    std::error_code ignored;  // a path that cannot be examined counts as missing
    if (!std::filesystem::is_directory(folder, ignored)) {
      fail_file(folder.string(), expected, std::filesystem::exists(folder, ignored) ? "a file" : "nothing");
    }
    Checkpoint checkpoint(folder);
    if (is_there(single)) {
      checkpoint.files_.push_back(SafetensorsFile::open(single));
    } else if (is_there(index)) {
      checkpoint.files_ = safetensors_detail::open_shards(folder, index);
    } else {
      const std::string found = found_instead(folder);
      fail_file(folder.string(), expected, found.empty() ? "neither file" : found);
    }
    for (const SafetensorsFile& file : checkpoint.files_) checkpoint.add(file);
    return checkpoint;
  }

  const StoredTensors& tensors() const { return tensors_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Gives the memory of all mapped pages back; they are read again when they are used.
  void release_pages() const {
    for (const SafetensorsFile& file : files_) file.release_pages();
  }

 private:
  explicit Checkpoint(const std::filesystem::path& folder) : folder_(folder) {}

  void add(const SafetensorsFile& file) {
    for (const auto& [name, tensor] : file.tensors()) {
      const auto [place, is_new] = tensors_.emplace(name, tensor);
      if (!is_new)
        fail(tensor.file, readable(name), "each tensor in one shard", "it also in " + place->second.file);
    }
  }

  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  StoredTensors tensors_;
};

}  // namespace t5gemma2
