// config.json: what transformers reads from each spelling, and one clear line for everything that is wrong.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "scratch.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"
#include "t5gemma2/checkpoint/encoder_config_json.hpp"
#include "t5gemma2/mask.hpp"

namespace test_config {

using namespace t5gemma2;
using nlohmann::json;

namespace {

/// A small model as transformers 5.23 saves it: two unequal sides and a vision tower.
json sample() {
  return json::parse(R"({
    "model_type": "t5gemma2", "image_token_index": 97, "eoi_token_index": 50,
    "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
    "encoder": {
      "boi_token_index": 95, "eoi_token_index": 96, "image_token_index": 98, "mm_tokens_per_image": 16,
      "text_config": {
        "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 112,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "query_pre_attn_scalar": 20,
        "sliding_window": 6, "max_position_embeddings": 8192, "rms_norm_eps": 1e-06,
        "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "final_logit_softcapping": null,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
          "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
          "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
      "vision_config": {
        "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 80,
        "image_size": 56, "patch_size": 7, "num_channels": 1, "layer_norm_eps": 1e-5}},
    "decoder": {
      "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 80,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "query_pre_attn_scalar": 32.5,
      "sliding_window": 5, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
      "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "final_logit_softcapping": 30,
      "bos_token_id": 12, "eos_token_id": 11, "pad_token_id": 10,
      "layer_types": ["full_attention", "sliding_attention"],
      "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 500000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0}}}})");
}

/// The sample with a JSON merge patch: {"decoder": {"head_dim": 3}}; null removes a field.
Config with(const char* patch) {
  json config = sample();
  config.merge_patch(json::parse(patch));
  return parse_config(config.dump(), "config.json");
}

/// The sample with `value`, possibly null, at a path like "/decoder/head_dim".
Config with(const char* path, const json& value) {
  json config = sample();
  config[json::json_pointer(path)] = value;
  return parse_config(config.dump(), "config.json");
}

/// The complaint about the sample with `value` at `path`, without a "config.json: " in front.
std::string complaint(const char* path, const json& value) {
  const std::string message = error_of([&] { with(path, value); });
  CHECK(message.starts_with("config.json: "));
  return message.substr(std::min(message.size(), std::string("config.json: ").size()));
}

std::string complaint(const char* patch) {
  return error_of([&] { with(patch); });
}

constexpr auto local = LayerType::sliding_attention, global = LayerType::full_attention;

}  // namespace

TEST_CASE("config: every field of both sides") {
  const Config config = with("{}");
  CHECK(config.encoder.vocab_size == 100);
  CHECK(config.encoder.hidden_size == 64);
  CHECK(config.encoder.num_hidden_layers == 3);
  CHECK(config.encoder.intermediate_size == 112);
  CHECK(config.encoder.num_attention_heads == 4);
  CHECK(config.encoder.num_key_value_heads == 2);
  CHECK(config.encoder.head_dim == 24);
  CHECK(config.encoder.query_pre_attn_scalar == 20);
  CHECK(config.encoder.sliding_window == 6);
  CHECK(config.encoder.max_position_embeddings == 8192);
  CHECK(config.encoder.rms_norm_eps == 1e-6f);
  CHECK(!config.encoder.final_logit_softcapping);
  CHECK(config.encoder.layer_types == std::vector{local, local, global});
  CHECK(config.encoder.rope(global).theta == 1e6);
  CHECK(config.encoder.rope(global).factor == 8);
  CHECK(config.encoder.rope(local).theta == 1e4);
  CHECK(config.encoder.rope(local).factor == 1);

  CHECK(config.decoder.num_hidden_layers == 2);
  CHECK(config.decoder.head_dim == 32);
  CHECK(config.decoder.query_pre_attn_scalar == 32.5f);
  CHECK(config.decoder.final_logit_softcapping == 30.0f);
  CHECK(config.decoder.layer_types == std::vector{global, local});
  CHECK(config.decoder.rope(global).theta == 5e5);
  CHECK(config.decoder.rope(local).theta == 2e4);

  REQUIRE(config.vision);
  CHECK(config.vision->hidden_size == 48);
  CHECK(config.vision->num_hidden_layers == 2);
  CHECK(config.vision->num_attention_heads == 4);
  CHECK(config.vision->intermediate_size == 80);
  CHECK(config.vision->image_size == 56);
  CHECK(config.vision->patch_size == 7);
  CHECK(config.vision->num_channels == 1);
  CHECK(config.vision->layer_norm_eps == 1e-5f);
  CHECK(config.mm_tokens_per_image == 16);
  CHECK(config.notes.empty());
}

TEST_CASE("config: ids, and which of two places counts") {
  const Config config = with("{}");
  CHECK(config.bos_token_id == 2);  // the top level before the decoder
  CHECK(config.eos_token_id == std::vector<Index>{1});
  CHECK(config.pad_token_id == 0);
  CHECK(config.boi_token_index == 95);
  CHECK(config.eoi_token_index == 96);    // the encoder before the top level
  CHECK(config.image_token_index == 97);  // the top level before the encoder

  const Config decoders = with(R"({"bos_token_id": null, "eos_token_id": null, "pad_token_id": null})");
  CHECK(decoders.bos_token_id == 12);
  CHECK(decoders.eos_token_id == std::vector<Index>{11});
  CHECK(decoders.pad_token_id == 10);
  CHECK(with("/eos_token_id", {1, 99}).eos_token_id == std::vector<Index>{1, 99});
  CHECK(!with(R"({"pad_token_id": null, "decoder": {"pad_token_id": null}})").pad_token_id);

  const Config others = with(R"({"image_token_index": null, "encoder": {"eoi_token_index": null}})");
  CHECK(others.image_token_index == 98);
  CHECK(others.eoi_token_index == 50);
  const Config aliases = with(R"({"image_token_index": null, "image_token_id": 7,
      "encoder": {"boi_token_index": null, "boi_token_id": 8, "eoi_token_index": null, "eoi_token_id": 9}})");
  CHECK(aliases.image_token_index == 7);
  CHECK(aliases.boi_token_index == 8);
  CHECK(aliases.eoi_token_index == 9);

  const Config none = with(R"({"image_token_index": null, "eoi_token_index": null, "encoder":
      {"image_token_index": null, "eoi_token_index": null, "boi_token_index": null}})");
  CHECK(!none.image_token_index);
  CHECK(!none.eoi_token_index);
  CHECK(!none.boi_token_index);
  REQUIRE(none.notes.size() == 1);
  contains(none.notes[0], "encoder.eoi_token_index: not given");
  CHECK(!with("/encoder/eoi_token_index", nullptr).eoi_token_index);  // null, as transformers reads it
}

TEST_CASE("config: text only, and fields that published vision configs leave out") {
  CHECK(!with(R"({"encoder": {"vision_config": null, "mm_tokens_per_image": null}})").vision);
  CHECK(!with("/encoder/vision_config", nullptr).vision);
  const Config config =
      with(R"({"encoder": {"vision_config": {"num_channels": null, "layer_norm_eps": null}}})");
  CHECK(config.vision->num_channels == 3);
  CHECK(config.vision->layer_norm_eps == 1e-6f);
}

TEST_CASE("config: older spellings of RoPE") {
  const char* plain =
      R"({"decoder": {"rope_parameters": null, "rope_theta": 7e5, "rope_local_base_freq": 3e4}})";
  CHECK(with(plain).decoder.rope(global).theta == 7e5);
  CHECK(with(plain).decoder.rope(global).factor == 1);
  CHECK(with(plain).decoder.rope(local).theta == 3e4);
  CHECK(with(plain).notes.empty());

  const TextConfig scaled = with(R"({"encoder": {"text_config": {"rope_parameters": null, "rope_theta": 7e5,
      "rope_local_base_freq": 3e4, "rope_scaling": {"rope_type": "linear", "factor": 4}}}})")
                                .encoder;
  CHECK(scaled.rope(global).factor == 4);  // rope_scaling is for global layers only
  CHECK(scaled.rope(global).theta == 7e5);
  CHECK(scaled.rope(local).factor == 1);

  // rope_scaling overrides rope_parameters key by key; rope_theta only fills in
  const Config both = with(R"({"decoder": {"rope_theta": 1, "rope_local_base_freq": 1,
      "rope_scaling": {"rope_type": "linear", "factor": 2}}})");
  CHECK(both.decoder.rope(global).theta == 5e5);
  CHECK(both.decoder.rope(global).factor == 2);
  CHECK(both.decoder.rope(local).theta == 2e4);
  CHECK(with(R"({"decoder": {"rope_scaling": {"rope_theta": 9}}})").decoder.rope(global).theta == 9);
}

TEST_CASE("config: rope_scaling with type instead of rope_type counts, with a note: transformers loses it") {
  const Config config = with(R"({"decoder": {"rope_parameters": null, "rope_theta": 7e5,
      "rope_local_base_freq": 3e4, "rope_scaling": {"type": "linear", "factor": 8}}})");
  CHECK(config.decoder.rope(global).factor == 8);
  REQUIRE(config.notes.size() == 1);
  contains(config.notes[0], "decoder.rope_scaling: read as rope_type \"linear\"");

  // inside rope_parameters, and beside them, transformers reads it too
  CHECK(
      with("/decoder/rope_parameters/full_attention", {{"type", "linear"}, {"factor", 8}, {"rope_theta", 5}})
          .decoder.rope(global)
          .factor == 8);
  CHECK(with(R"({"decoder": {"rope_parameters": {"full_attention": {"rope_type": null}},
      "rope_scaling": {"type": "linear", "factor": 8}}})")
            .decoder.rope(global)
            .factor == 8);
}

TEST_CASE("config: folders as transformers writes them, and with older keys") {
  const std::filesystem::path data = T5GEMMA2_TEST_DATA;
  CHECK(load_config(data / "basic").notes.empty());
  CHECK(load_config(data / "basic").encoder.rope(global).factor == 8);
  CHECK(load_config(data / "old_keys").notes.size() == 2);  // rope_scaling on both sides
  CHECK(load_config(data / "old_keys").encoder.rope(global).factor == 8);
}

TEST_CASE("config: other notes") {
  const Config factor = with("/decoder/rope_parameters/full_attention/factor", 8);
  CHECK(factor.decoder.rope(global).factor == 1);
  REQUIRE(factor.notes.size() == 1);
  contains(factor.notes[0], "decoder.rope_parameters.full_attention: read as rope_type \"default\"");

  const Config softcap = with("/decoder/attn_logit_softcapping", 50);
  REQUIRE(softcap.notes.size() == 1);
  contains(softcap.notes[0], "decoder.attn_logit_softcapping: ignored");

  const Config flat = with(R"({"decoder": {"rope_theta": 7e5, "rope_local_base_freq": 3e4, "rope_parameters":
      {"full_attention": null, "sliding_attention": null, "rope_type": "linear", "factor": 8}}})");
  CHECK(flat.decoder.rope(global).factor == 1);
  REQUIRE(flat.notes.size() == 1);
  contains(flat.notes[0], "decoder.rope_parameters: ignored");
}

TEST_CASE("config: layer types from sliding_window_pattern") {
  CHECK(with(R"({"encoder": {"text_config": {"layer_types": null, "sliding_window_pattern": 2}}})")
            .encoder.layer_types == std::vector{local, global, local});
  CHECK(with(R"({"encoder": {"text_config": {"layer_types": null, "sliding_window_pattern": 1}}})")
            .encoder.layer_types == std::vector{global, global, global});
  CHECK(with("/decoder/sliding_window_pattern", 2).decoder.layer_types == std::vector{global, local});
  contains(complaint(R"({"decoder": {"layer_types": null}})"), "decoder.layer_types: expected a list of 2");
  contains(complaint(R"({"decoder": {"layer_types": null, "sliding_window_pattern": 0}})"),
           "decoder.sliding_window_pattern: expected a whole number from 1");
}

TEST_CASE("config: layer_types of another length or unknown") {
  contains(
      complaint("/decoder/layer_types", {"full_attention"}),
      "decoder.layer_types: expected a list of 2, one for each layer (num_hidden_layers), found a list of 1");
  contains(complaint("/decoder/layer_types", {"full_attention", "chunked_attention"}),
           "decoder.layer_types[1]: expected \"sliding_attention\" or \"full_attention\", found "
           "\"chunked_attention\"");
  contains(complaint("/decoder/layer_types", {"full_attention", 1}),
           "decoder.layer_types[1]: expected a text, found 1");
  contains(complaint("/decoder/layer_types", "full_attention"), "decoder.layer_types: expected a list");
}

TEST_CASE("config: missing, zero, negative, huge, fractional and textual sizes, on both sides") {
  for (const std::string side : {"/encoder/text_config", "/decoder"}) {
    for (const std::string size :
         {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
          "num_key_value_heads", "head_dim", "sliding_window", "max_position_embeddings"}) {
      const std::string path = side + "/" + size;
      const std::string field = (side == "/decoder" ? "decoder." : "encoder.text_config.") + size;
      const std::vector<json> wrong{nullptr, 0,   -1,  1e30, 1LL << 40,     ~0ULL,
                                    2.5,     2.0, "4", true, json::array(), json::object()};
      for (const json& value : wrong) {
        const std::string message = complaint(path.c_str(), value);
        contains(message, field + ": expected a whole number from ");
        if (value.is_primitive()) contains(message, ", found " + value.dump());
      }
      json config = sample();
      config = config.patch({{{"op", "remove"}, {"path", path}}});
      contains(error_of([&] { parse_config(config.dump(), "c"); }), field + ": expected a whole number");
    }
  }
}

TEST_CASE("config: the same of the vision tower") {
  for (const std::string size : {"hidden_size", "num_hidden_layers", "num_attention_heads",
                                 "intermediate_size", "image_size", "patch_size"}) {
    for (const json& value : std::vector<json>{nullptr, 0, -1, 1 << 30, 2.5, "4", false}) {
      const std::string message = complaint(("/encoder/vision_config/" + size).c_str(), value);
      contains(message, "encoder.vision_config." + size + ": expected a whole number from 1 to ");
    }
  }
  contains(complaint("/encoder/vision_config/num_channels", 0),
           "encoder.vision_config.num_channels: expected");
  contains(complaint("/encoder/vision_config/layer_norm_eps", -1),
           "encoder.vision_config.layer_norm_eps: expected");
  contains(complaint("/encoder/vision_config/hidden_act", "gelu"),
           "encoder.vision_config.hidden_act: expected");
  contains(complaint("/encoder/vision_config", 1), "encoder.vision_config: expected an object, found 1");
  contains(complaint("/encoder/mm_tokens_per_image", nullptr),
           "encoder.mm_tokens_per_image: expected a whole number");
}

TEST_CASE("config: sizes that do not go together") {
  contains(complaint("/encoder/text_config/num_key_value_heads", 3),
           "encoder.text_config.num_key_value_heads: expected a divisor of num_attention_heads 4, found 3");
  contains(complaint("/decoder/num_key_value_heads", 4),
           "expected a divisor of num_attention_heads 2, found 4");
  contains(complaint("/decoder/head_dim", 33),
           "decoder.head_dim: expected an even number: RoPE rotates pairs, found 33");
  contains(complaint("/decoder/hidden_size", 65),
           "decoder.hidden_size: expected the encoder's, 64, found 65");
  contains(complaint("/decoder/vocab_size", 101),
           "decoder.vocab_size: expected the encoder's, 100, found 101 (resize_token_embeddings changes the "
           "decoder's alone: set encoder.text_config.vocab_size, too)");
}

TEST_CASE("config: real numbers out of range") {
  contains(complaint("/decoder/rms_norm_eps", -1e-6),
           "decoder.rms_norm_eps: expected a number from 0.0 to 1.0, found -1e-06");
  contains(complaint("/decoder/rms_norm_eps", "1e-6"), "decoder.rms_norm_eps: expected a number");
  contains(complaint("/decoder/rms_norm_eps", nullptr), "decoder.rms_norm_eps: expected a number");
  contains(complaint("/decoder/query_pre_attn_scalar", 0),
           "decoder.query_pre_attn_scalar: expected a number");
  contains(complaint("/decoder/query_pre_attn_scalar", -4),
           "decoder.query_pre_attn_scalar: expected a number");
  contains(complaint("/decoder/query_pre_attn_scalar", 1e300),
           "decoder.query_pre_attn_scalar: expected a number");
  contains(complaint("/decoder/final_logit_softcapping", 0),
           "decoder.final_logit_softcapping: expected a number");
  contains(complaint("/decoder/final_logit_softcapping", true),
           "decoder.final_logit_softcapping: expected a number");
  CHECK(with("/decoder/rms_norm_eps", 0).decoder.rms_norm_eps == 0);
  CHECK(!with("/decoder/final_logit_softcapping", nullptr).decoder.final_logit_softcapping);
}

TEST_CASE("config: RoPE that is missing, unknown or out of range") {
  contains(
      complaint("/decoder/rope_parameters/full_attention/rope_type", "yarn"),
      "decoder.rope_parameters.full_attention.rope_type: expected \"default\" or \"linear\", found \"yarn\"");
  contains(complaint("/decoder/rope_parameters/full_attention/rope_type", "linear"),
           "decoder.rope_parameters.full_attention.factor: expected a number from 0.01 to 1000000.0, found "
           "nothing");
  contains(complaint("/encoder/text_config/rope_parameters/full_attention/factor", 0),
           "encoder.text_config.rope_parameters.full_attention.factor: expected a number");
  contains(complaint("/decoder/rope_parameters/sliding_attention/rope_theta", 0),
           "sliding_attention.rope_theta: expected");
  contains(
      complaint("/decoder/rope_parameters/sliding_attention/rope_theta", nullptr),
      "decoder.rope_parameters.sliding_attention.rope_theta: expected a number from 1.0 to 1000000000000.0");
  contains(complaint("/decoder/rope_parameters", nullptr), "full_attention.rope_theta: expected a number");
  contains(complaint("/decoder/rope_parameters", 5), "decoder.rope_parameters: expected an object, found 5");
  contains(complaint("/decoder/rope_parameters/full_attention", "x"),
           "decoder.rope_parameters.full_attention: expected an object");
  contains(complaint("/decoder/rope_scaling", "linear"),
           "decoder.rope_scaling: expected an object, found \"linear\"");
  contains(complaint("/decoder/rope_parameters/full_attention/partial_rotary_factor", 0.5),
           "partial_rotary_factor: expected 1");
}

TEST_CASE("config: only the top level's tie_word_embeddings counts, and it ties when it is not there") {
  CHECK(parse_config(sample().dump(), "config.json").tie_word_embeddings);
  CHECK(with("/tie_word_embeddings", true).tie_word_embeddings);
  CHECK(!with("/tie_word_embeddings", false).tie_word_embeddings);
  for (const char* part : {"/encoder", "/encoder/text_config", "/decoder"}) {
    const std::string path = std::string(part) + "/tie_word_embeddings";
    CHECK(with(path.c_str(), false).tie_word_embeddings);
  }
  contains(complaint("/tie_word_embeddings", nullptr),
           "tie_word_embeddings: expected true or false, found null");
}

TEST_CASE("config: another model, activation or bias") {
  contains(complaint("/model_type", "t5gemma"), "model_type: expected \"t5gemma2\", found \"t5gemma\"");
  contains(complaint("/model_type", nullptr), "model_type: expected a text, found null");
  for (const std::string part : {"t5gemma2_encoder", "t5gemma2_text", "t5gemma2_decoder"})
    contains(complaint("/model_type", part),
             "model_type: expected \"t5gemma2\", found \"" + part + "\", a part of a model: save the whole");
  contains(complaint("/decoder/hidden_activation", "silu"),
           "decoder.hidden_activation: expected \"gelu_pytorch_tanh\", found \"silu\"");
  contains(complaint("/encoder/text_config/attention_bias", true),
           "encoder.text_config.attention_bias: expected false");
  contains(complaint("/decoder/attention_bias", 0),
           "decoder.attention_bias: expected true or false, found 0");
  contains(complaint("/decoder", nullptr), "decoder: expected an object, found null");
  contains(complaint("/decoder", {1}), "decoder: expected an object, found a list of 1");
  contains(complaint(R"({"encoder": null})"), "encoder.text_config: expected an object, found nothing");
}

TEST_CASE("config: ids outside the vocabulary") {
  for (const char* path : {"/bos_token_id", "/eos_token_id", "/pad_token_id", "/encoder/boi_token_index",
                           "/encoder/eoi_token_index", "/image_token_index"}) {
    for (const json& value : std::vector<json>{-1, 100, 1e9, "1", 1.0}) {
      contains(complaint(path, value), ": expected a token id from 0 to 99, found " + value.dump());
    }
  }
  contains(complaint("/eos_token_id", {1, 100}),
           "eos_token_id[1]: expected a token id from 0 to 99, found 100");
  contains(complaint("/eos_token_id", json::array()), "eos_token_id: expected one token id or more");
  contains(complaint(R"({"bos_token_id": null, "decoder": {"bos_token_id": null}})"),
           "decoder.bos_token_id: expected a token id");
}

TEST_CASE("config: not JSON, JSON that does not say one thing") {
  const auto of = [](const std::string& text) {
    return error_of([&] { parse_config(text, "config.json"); });
  };
  contains(of(""), "config.json: byte 1: expected JSON, found the end of the text");
  contains(of("{"), "config.json: byte 2: expected JSON");
  contains(of("[]"), "config.json: expected an object, found a list of 0");
  contains(of("3"), "config.json: expected an object, found 3");
  contains(of(R"({"model_type": "t5gemma2", "model_type": "t5gemma2"})"),
           "config.json: model_type: expected one value");
  contains(of(std::string(100'000, '[')), "config.json: nesting: expected at most 64 levels");
  contains(of(R"({"model_type": NaN})"), "expected JSON, found \"{\\\"model_type\\\": N\"");
  contains(of(R"({"eps": 1e400})"), "byte 13: expected JSON, found \"{\\\"eps\\\": 1e400\"");
  contains(of("{\"a\": \"\xff\"}"), "expected JSON");
  contains(of("{\"a\": 1 // a comment\n}"), "expected JSON");
}

TEST_CASE("config: the file itself") {
  const ScratchFolder folder;
  const auto load = [&] { return error_of([&] { load_config(folder.path()); }); };
  contains(load(), "config.json: expected the model's config.json, found nothing");
  folder.write("config.json", "");
  contains(load(), "config.json: expected the model's config.json, found an empty file");
  folder.write("config.json", "version https://git-lfs.github.com/spec/v1\n");
  contains(load(), "git-LFS pointer");
  folder.write("config.json", "<html>");
  contains(load(), "HTML");
  folder.write("config.json", "\xef\xbb\xbf" + sample().dump());  // a byte order mark, as some editors write
  CHECK(load_config(folder.path()).decoder.head_dim == 32);
}

TEST_CASE("config: a link that leads nowhere, and what lies in a folder without a config.json") {
  const ScratchFolder folder;
  const auto load = [&] { return error_of([&] { load_config(folder.path()); }); };
  const std::string start = folder.path().string() + ": expected a model's folder with config.json, found ";
  folder.write("checkpoint-5/config.json", "{}");
  CHECK(load() == start + "such a folder in it: " + (folder.path() / "checkpoint-5").string());
  folder.write("model.safetensors", "x");
  CHECK(load() == start + "model.safetensors without config.json");
  folder.write("adapter_config.json", "{}");
  contains(load(), start + "adapter_config.json, a LoRA adapter: its base");
  std::filesystem::create_symlink("gone", folder.path() / "config.json");
  contains(
      load(),
      "/config.json: expected the model's config.json, found a link that leads nowhere: gone is missing");
}

// ---- an encoder alone ----

namespace {

Config encoder_of(const json& content) { return read_encoder_config({content, "config.json"}); }

json encoder_alone() {
  json section = sample()["encoder"];
  section["model_type"] = "t5gemma2_encoder";
  return section;
}

json embedding_gemma() {
  json text = sample()["encoder"]["text_config"];
  text["model_type"] = "gemma3_text";
  text["use_bidirectional_attention"] = true;
  text["sliding_window"] = 12;
  return text;
}

}  // namespace

TEST_CASE("config: an encoder alone has what a whole model's encoder has") {
  const Config whole = encoder_of(sample()), alone = encoder_of(encoder_alone());
  CHECK(whole.decoder.num_hidden_layers == 2);
  CHECK(alone.decoder.num_hidden_layers == 0);
  CHECK(alone.encoder.layer_types == whole.encoder.layer_types);
  CHECK(alone.encoder.sliding_window == 6);
  CHECK(alone.vision->hidden_size == 48);
  CHECK(alone.mm_tokens_per_image == 16);
  CHECK(alone.eoi_token_index == 96);
  CHECK(alone.image_token_index == 98);
  CHECK(contains(alone.notes.back(), "transformers takes 256000"));
  json text_only = encoder_alone();
  text_only.erase("vision_config");
  CHECK(!encoder_of(text_only).vision);
}

TEST_CASE("config: EmbeddingGemma's window is half as wide to each side") {
  // transformers loads w as w/2 + 1 and shows the keys with |q - k| < w/2 + 1.
  for (const Index w : {4, 6, 12, 512}) {
    json gemma = embedding_gemma();
    gemma["sliding_window"] = w;
    const EncoderMask mask{encoder_of(gemma).encoder.sliding_window};
    for (Index q = 0; q < 30; ++q)
      for (Index k = 0; k < 30; ++k) CHECK(mask(q, k) == (std::abs(q - k) < w / 2 + 1));
  }
  CHECK(!encoder_of(embedding_gemma()).eoi_token_index);
}

TEST_CASE("config: encoders that are none are refused") {
  const auto complaint = [](json content, const char* key, const json& value) {
    content[key] = value;
    return error_of([&] { encoder_of(content); });
  };
  CHECK(contains(complaint(embedding_gemma(), "use_bidirectional_attention", false), "expected true"));
  CHECK(contains(complaint(embedding_gemma(), "use_bidirectional_attention", nullptr), "expected true"));
  for (const Index halved : {257, 129, 3, 2, 1})
    CHECK(contains(
        complaint(embedding_gemma(), "sliding_window", halved),
        "sliding_window: expected an even number above 2, found " + std::to_string(halved) + ", which"));
  CHECK(contains(
      complaint(embedding_gemma(), "model_type", "gemma3"),
      R"(expected "t5gemma2", "t5gemma2_encoder" or "gemma3_text", a model with an encoder, found "gemma3")"));
  CHECK(contains(complaint(sample(), "model_type", "t5gemma2_decoder"), R"(found "t5gemma2_decoder")"));
}

}  // namespace test_config
