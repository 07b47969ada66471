// Memory that a run needs besides the weights, in bytes, from the sizes in config.json alone.
#pragma once
#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "../chunks.hpp"
#include "../config.hpp"
#include "../error.hpp"
#include "../kernels/attention_blocks.hpp"

namespace t5gemma2 {

/// Bytes of the float32 numbers of a run. Weights are not counted: they stay in the mapped file.
struct MemoryNeed {
  double encoder = 0;         // the largest intermediates of one layer over n tokens
  double encoder_output = 0;  // H
  double encoder_kv = 0;      // K and V of H, all decoder layers
  double decoder_kv = 0;      // K and V of m decoder tokens: all in global layers, a window in local ones
  double decoder_panels = 0;  // K and V of one decoder layer once more, where a prompt of many tokens is read
  double beams = 0;           // caches and continuations of the beams beside the first

  /// The encoder's intermediates are freed before the decoder makes its keys and values, and a prompt is read
  /// before there are several beams.
  double peak() const {
    return std::max(encoder, encoder_output + encoder_kv + decoder_kv + std::max(decoder_panels, beams));
  }
};

/// Bytes of float32 numbers [rows, cols].
inline double float_bytes(Index rows, Index cols) {
  return 4.0 * static_cast<double>(rows) * static_cast<double>(cols);
}

/// Throws std::invalid_argument unless these are the sizes of a model.
inline void check_sizes(const TextConfig& c) {
  check(c.heads());
  check_argument(c.hidden_size > 0, "hidden_size", "1 or more", c.hidden_size);
  check_argument(c.intermediate_size > 0, "intermediate_size", "1 or more", c.intermediate_size);
  check_argument(c.num_hidden_layers == std::ssize(c.layer_types), "num_hidden_layers",
                 "as many as layer_types", c.num_hidden_layers);
  for (const LayerType type : c.layer_types) {
    check_argument(type != LayerType{}, "layer_types", "sliding_attention or full_attention", "none");
    check_argument(type == LayerType::full_attention || c.sliding_window > 0, "sliding_window", "1 or more",
                   c.sliding_window);
  }
}

/// K and V of so many keys in panels of up to 32 columns (../kernels/key_panels.hpp), one layer.
inline double panels_need(const TextConfig& c, Index keys) {
  return float_bytes(keys, c.num_key_value_heads * (c.head_dim + (c.head_dim + 31) / 32 * 32));
}

/// The largest intermediates of an encoder layer over n tokens: the residual stream, cos and sin of RoPE, and keys
/// and values in panels; of a chunk (../chunks.hpp) its rows, their norm, what goes back to them, and either
/// attention's (Q, K, V, A) or feed-forward's.
inline double layer_need(const TextConfig& c, Index n) {
  const Index q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  const Index widest = std::max(2 * q + 2 * kv, 2 * c.intermediate_size + c.hidden_size);
  return float_bytes(n, c.hidden_size + 2 * c.head_dim) + panels_need(c, n) +
         float_bytes(std::min(n, chunk_rows), 3 * c.hidden_size + widest);
}

/// For n encoder tokens and m decoder tokens, one beam. Throws std::invalid_argument where a size is not set.
inline MemoryNeed memory_need(const Config& config, Index n, Index m) {
  const TextConfig &e = config.encoder, &d = config.decoder;
  check_sizes(e);
  check_sizes(d);
  check_argument(n >= 0 && m >= 0, "memory_need tokens", "0 or more", std::min(n, m));
  MemoryNeed need;
  need.encoder = layer_need(e, n);
  need.encoder_output = float_bytes(n, e.hidden_size);
  if (m > kernel::block_queries(d.heads())) need.decoder_panels = panels_need(d, n + m);
  const Index row = 2 * d.num_key_value_heads * d.head_dim;
  need.encoder_kv = float_bytes(n, row * d.num_hidden_layers);
  for (const LayerType type : d.layer_types)
    need.decoder_kv +=
        float_bytes(type == LayerType::full_attention ? m : std::min(m, d.sliding_window), row);
  return need;
}

/// Bytes that the beams beside the first need for m decoder tokens: their caches and their candidates.
inline double beam_need(const Config& config, Index m, Index beams) {
  const double vocab = static_cast<double>(config.decoder.vocab_size);
  return static_cast<double>(beams - 1) * (2 * memory_need(config, 0, m).decoder_kv + 32 * vocab);
}

/// Bytes of all tensors of one traced pass over n and m tokens, among them the attention probabilities of
/// every layer: n^2 numbers per query head of the encoder, m (m + n) per query head of the decoder.
inline double trace_need(const Config& config, Index n, Index m) {
  const auto side = [](const TextConfig& c, Index rows, Index keys) {
    const Index q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
    const auto row = static_cast<double>(9 * c.hidden_size + 2 * q + 3 * kv + 3 * c.intermediate_size);
    const double weights = static_cast<double>(c.num_attention_heads) * static_cast<double>(keys);
    return 4 * static_cast<double>(c.num_hidden_layers) * static_cast<double>(rows) * (row + weights);
  };
  const double logits = 8 * static_cast<double>(m) * static_cast<double>(config.decoder.vocab_size);
  return side(config.encoder, n, n) + side(config.decoder, m, m + n) + logits;
}

/// Bytes that can be allocated without swapping (MemAvailable of Linux); infinity where this is not known.
inline double available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string name, unit;
  for (double kilobytes = 0; meminfo >> name >> kilobytes; std::getline(meminfo, unit))
    if (name == "MemAvailable:") return kilobytes * 1024;
  return std::numeric_limits<double>::infinity();
}

/// Throws Error when n input tokens need more bytes than are available.
inline void check_memory(double needed, Index n, double available) {
  if (needed <= available) return;
  const auto gigabytes = [](double bytes) {
    std::string text = std::to_string(bytes / 1e9);
    return text.substr(0, text.find('.') + 2) + " GB";
  };
  fail("memory", std::to_string(n) + " input tokens", gigabytes(needed) + " free beside the weights",
       gigabytes(available) + "; fewer tokens need less");
}

/// Throws Error when a run over n and m tokens would not fit into memory.
inline void check_memory(const Config& config, Index n, Index m, double available = available_memory(),
                         Index beams = 1) {
  MemoryNeed need = memory_need(config, n, m);
  need.beams = beam_need(config, m, beams);
  check_memory(need.peak(), n, available);
}

/// Throws Error when a run of the encoder alone over n tokens would not fit into memory.
inline void check_encoder_memory(const Config& config, Index n, double available = available_memory()) {
  check_sizes(config.encoder);
  check_memory(layer_need(config.encoder, n), n, available);
}

/// Throws Error when a traced pass, whose tensors are all kept, would not fit into memory.
inline void check_trace_memory(const Config& config, Index n, Index m,
                               double available = available_memory()) {
  check_memory(memory_need(config, n, m).peak() + trace_need(config, n, m), n, available);
}

}  // namespace t5gemma2
