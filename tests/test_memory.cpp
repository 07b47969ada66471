// What a run needs, from the sizes: it grows with what it should, and too little is said clearly.
#include "t5gemma2/analysis/memory.hpp"

#include <doctest/doctest.h>

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"

namespace test_memory {

using namespace t5gemma2;

namespace {

/// Two layers a side, the first local with window 8.
Config small() {
  Config config;
  TextConfig& e = config.encoder;
  e.hidden_size = 16;
  e.num_hidden_layers = 2;
  e.num_attention_heads = 4;
  e.num_key_value_heads = 2;
  e.head_dim = 8;
  e.intermediate_size = 64;
  e.vocab_size = 100;
  e.sliding_window = 8;
  e.layer_types = {LayerType::sliding_attention, LayerType::full_attention};
  config.decoder = e;
  return config;
}

}  // namespace

TEST_CASE("memory: keys and values by hand") {
  // A row of K and V: 2 * 2 heads * 8 = 32 numbers of 4 bytes.
  const MemoryNeed need = memory_need(small(), 100, 50);
  CHECK(need.encoder_kv == 100 * 32 * 4 * 2);
  CHECK(need.decoder_kv == 50 * 32 * 4 + 8 * 32 * 4);
}

TEST_CASE("memory: the peak is the encoder's, or the decoder's, which begins when the former is free again") {
  // Numbers of a token: 16 in H; in the encoder 16 + 2 * 8, panels of 8 and of 32 columns for 2 heads, 3 * 16, and
  // the larger of attention's 2 * 32 + 2 * 16 and feed-forward's 2 * 64 + 16.
  const MemoryNeed wide = memory_need(small(), 100, 50);
  CHECK(wide.encoder == 100 * (32 + 80 + 48 + 144) * 4);
  CHECK(wide.encoder_output == 100 * 16 * 4);
  CHECK(wide.peak() == wide.encoder);
  Config config = small();
  config.decoder.layer_types.assign(8, LayerType::full_attention);
  config.decoder.num_hidden_layers = 8;
  const MemoryNeed deep = memory_need(config, 100, 50);
  CHECK(deep.decoder_panels == (100 + 50) * 80 * 4);
  CHECK(deep.peak() == 100 * 16 * 4 + (100 + 50) * 32 * 4 * 8 + deep.decoder_panels);
  CHECK(deep.peak() > deep.encoder);
}

TEST_CASE("memory: beams count with the decoder, not with the encoder before it") {
  const MemoryNeed need = memory_need(small(), 100, 50);
  const double left = need.encoder - need.encoder_output - need.encoder_kv - need.decoder_kv,
               beam = beam_need(small(), 50, 2);
  const auto beams_that_fit = [&] {
    Index beams = 1;
    while (error_of([&] { check_memory(small(), 100, 50, need.encoder, beams + 1); }).empty()) ++beams;
    return beams;
  };
  CHECK(beams_that_fit() == 1 + static_cast<Index>(left / beam));
  CHECK(beams_that_fit() > 1);
}

TEST_CASE("memory: everything of the encoder side grows with its tokens, nothing else does") {
  const MemoryNeed one = memory_need(small(), 100, 50), two = memory_need(small(), 200, 50);
  CHECK(two.encoder == 2 * one.encoder);
  CHECK(two.encoder_kv == 2 * one.encoder_kv);
  CHECK(two.decoder_kv == one.decoder_kv);
  CHECK(memory_need(small(), 0, 50).encoder == 0);
  CHECK(memory_need(small(), 0, 50).encoder_kv == 0);
}

TEST_CASE("memory: local layers stop growing at the window, global ones do not") {
  Config config = small();
  config.decoder.layer_types = {LayerType::sliding_attention, LayerType::sliding_attention};
  CHECK(memory_need(config, 0, 4).decoder_kv < memory_need(config, 0, 8).decoder_kv);
  CHECK(memory_need(config, 0, 8).decoder_kv == memory_need(config, 0, 100000).decoder_kv);
  config.decoder.layer_types = {LayerType::full_attention, LayerType::full_attention};
  CHECK(memory_need(config, 0, 100000).decoder_kv == 100000 / 8 * memory_need(config, 0, 8).decoder_kv);
}

TEST_CASE("memory: the encoder takes its tokens in chunks, so the widest intermediate counts for one chunk") {
  Config config = small();
  config.encoder.intermediate_size = 640;
  const auto encoder = [&](Index n) { return memory_need(config, n, 0).encoder; };
  CHECK(encoder(1000) == 1000 * (32 + 80 + 48 + 2 * 640 + 16) * 4);
  CHECK(encoder(100000) == 100000 * (32 + 80) * 4 + 1024 * (48 + 2 * 640 + 16) * 4);
  config.encoder.num_attention_heads = 400;
  CHECK(encoder(1000) == 1000 * (32 + 80 + 48 + 2 * 3200 + 2 * 16) * 4);
}

TEST_CASE("memory: a prompt within one block of attention needs no panels") {
  CHECK(memory_need(small(), 100, 48).decoder_panels == 0);
  CHECK(memory_need(small(), 100, 49).decoder_panels > 0);
}

TEST_CASE("memory: sizes beyond 2^31 do not overflow") {
  Config config = small();
  config.decoder.layer_types.assign(34, LayerType::full_attention);
  config.decoder.num_hidden_layers = 34;
  CHECK(memory_need(config, 1 << 30, 1 << 30).peak() > 1e12);
}

TEST_CASE("memory: too little memory is one clear line, enough is none") {
  Config config = small();
  config.decoder.layer_types.assign(8, LayerType::full_attention);
  config.decoder.num_hidden_layers = 8;
  const double needed = memory_need(config, 1 << 20, 100).peak();
  CHECK(error_of([&] { check_memory(config, 1 << 20, 100, needed); }) == "");
  CHECK(error_of([&] { check_memory(config, 1 << 20, 100, needed, 2000); }) != "");
  CHECK(beam_need(config, 100, 1) == 0);
  CHECK(beam_need(config, 100, 5) > 4 * memory_need(config, 0, 100).decoder_kv);
  const std::string message = error_of([&] { check_memory(config, 1 << 20, 100, 0.25e9); });
  CHECK(message.starts_with("memory: 1048576 input tokens: expected "));
  CHECK(message.ends_with(" GB free beside the weights, found 0.2 GB; fewer tokens need less"));
}

TEST_CASE("memory: this machine says how much it has") {
  const double available = available_memory();
  CHECK(available > 1e6);
  CHECK(error_of([] { check_memory(small(), 10, 10); }) == "");
}

TEST_CASE("memory: sizes that are not set are refused") {
  const auto complaint = [](const auto& change) {
    Config config = small();
    change(config);
    return argument_error([&] { memory_need(config, 1, 1); });
  };
  CHECK(complaint([](Config&) {}) == "");
  CHECK(complaint([](Config& c) { c.encoder.hidden_size = 0; }) ==
        "hidden_size: expected 1 or more, found 0");
  CHECK(complaint([](Config& c) { c.decoder.head_dim = 0; }) == "heads.dim: expected 1 or more, found 0");
  CHECK(complaint([](Config& c) { c.encoder.intermediate_size = 0; }) ==
        "intermediate_size: expected 1 or more, found 0");
  CHECK(complaint([](Config& c) { c.decoder.layer_types.clear(); }) ==
        "num_hidden_layers: expected as many as layer_types, found 2");
  CHECK_THROWS_WITH_AS(memory_need(small(), -1, 0), "memory_need tokens: expected 0 or more, found -1",
                       std::invalid_argument);
}

TEST_CASE("memory: a window or a layer type that is not set is refused") {
  Config config = load_config(data_folder("basic"));
  config.decoder.sliding_window = 0;
  CHECK_THROWS_WITH_AS(memory_need(config, 1, 1), "sliding_window: expected 1 or more, found 0",
                       std::invalid_argument);
  config = load_config(data_folder("basic"));
  config.encoder.layer_types[0] = {};
  CHECK_THROWS_WITH_AS(memory_need(config, 1, 1),
                       "layer_types: expected sliding_attention or full_attention, found none",
                       std::invalid_argument);
}

}  // namespace test_memory
