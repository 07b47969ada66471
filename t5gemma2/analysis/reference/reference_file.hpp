// What another implementation computed from some inputs, whatever format it was saved in: the tensors under
// transformers' names, as open_reference.hpp reads them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../../checkpoint/safetensors.hpp"
#include "../../tensor.hpp"
#include "statistics.hpp"

namespace t5gemma2 {

struct ReferenceFile {
  std::filesystem::path path;
  StoredTensors tensors{};  // a StoredTensor's own name is the one in the file
  std::map<std::string, StoredStatistics, std::less<>> statistics{};  // of tensors that are not there whole
  std::vector<std::string> without_counterpart{};  // names in the file that stand for no tensor of the engine
  std::vector<std::shared_ptr<const void>> memory{};  // owns the numbers

  /// Keeps `owner` for as long as this object, and its copies, live.
  template <class Owner>
  const Owner& keep(Owner owner) {
    auto kept = std::make_shared<const Owner>(std::move(owner));
    memory.push_back(kept);
    return *kept;
  }

  /// Token ids [1, k] under a name, in place of those that stand there.
  void set_ids(const std::string& name, const std::vector<TokenId>& ids) {
    const auto& wide = keep(std::vector<std::int64_t>(ids.begin(), ids.end()));
    static constexpr std::byte none{};
    const auto* data = wide.empty() ? &none : reinterpret_cast<const std::byte*>(wide.data());
    tensors[name] = {name,         Dtype::i64, {1, std::ssize(ids)}, data, wide.size() * sizeof(std::int64_t),
                     path.string()};
  }
};

/// Whether a tensor of the file is one that is computed.
inline bool is_activation(const std::string& name) {
  return !name.starts_with("inputs.") && !name.starts_with("truth.") && name != "generated";
}

/// "k_norm[-64:]" -> "k_norm", 64; any other name -> the name unchanged, 0.
inline std::pair<std::string, Index> split_last_rows(const std::string& name) {
  const std::size_t open = name.rfind("[-");
  if (open == std::string::npos || !name.ends_with(":]")) return {name, 0};
  const std::string digits = name.substr(open + 2, name.size() - open - 4);
  const bool number =
      !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
  return number ? std::pair(name.substr(0, open), Index{std::stol(digits)}) : std::pair(name, Index{0});
}

}  // namespace t5gemma2
