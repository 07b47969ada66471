// --lora FOLDER[=SCALE]: adapters on a model, and the tokenizer that one of them may bring.
#pragma once
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app.hpp"
#include "t5gemma2/checkpoint/hub.hpp"
#include "t5gemma2/lora/apply_adapter.hpp"
#include "t5gemma2/tokenizer/tokenizer.hpp"

namespace cli {

/// Adds --lora.
inline void add_lora(App& app, std::vector<std::string>& lora) {
  app.group("Input");
  app.add_option(
         "--lora", lora,
         "LoRA adapter as PEFT saves it: folder or hub id, and =SCALE to weaken or strengthen it; repeatable")
      ->value("FOLDER")
      ->allow_extra_args(false);
}

/// What --lora names.
struct NamedAdapter {
  std::filesystem::path folder;
  float scale = 1;
};

/// Throws Error where there is none.
inline std::filesystem::path find_adapter(const std::string& name) {
  try {
    return t5gemma2::find_model(name);
  } catch (const t5gemma2::Error& error) {
    throw t5gemma2::Error(std::string("--lora: ") + error.what());
  }
}

/// "FOLDER=0.5"; a folder's own name may hold '=', too. Throws Error where there is no such folder.
inline NamedAdapter named_adapter(const std::string& text) {
  std::error_code none;
  const auto at = text.rfind('=');
  if (at == text.npos || std::filesystem::is_directory(text, none)) return {find_adapter(text), 1};
  const std::string digits = text.substr(at + 1);
  char* end = nullptr;
  const float scale = std::strtof(digits.c_str(), &end);
  if (digits.empty() || *end != '\0' || !std::isfinite(scale))
    throw UsageError("--lora: expected FOLDER or FOLDER=SCALE with a number, found " + text);
  return {find_adapter(text.substr(0, at)), scale};
}

/// Applies all that --lora names, in order.
inline void apply_adapters(t5gemma2::Model& model, const std::vector<std::string>& lora) {
  for (const std::string& text : lora) {
    const NamedAdapter named = named_adapter(text);
    t5gemma2::apply_adapter(
        model, std::make_shared<const t5gemma2::Adapter>(t5gemma2::load_adapter(named.folder, named.scale)));
  }
}

}  // namespace cli
