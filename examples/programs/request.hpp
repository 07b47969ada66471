// A request to a model, and its answer.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "generation_settings.hpp"
#include "input_flags.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/generation/fill.hpp"
#include "t5gemma2/score.hpp"

namespace cli {

/// Both members are given as flags, or as keys of a JSON line.
struct Request {
  Input input;
  GenerationSettings settings;
};

struct Answer {
  std::vector<Generated> texts;  // one at least
  std::vector<Filled> filled;    // the gaps of the prompt as each text fills them; none without --fill
  std::vector<std::vector<TokenScore>> logprobs;  // of the new tokens of each text; none without --logprobs
  std::optional<std::uint64_t> seed;              // none where no token was drawn
};

}  // namespace cli
