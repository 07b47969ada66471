// From names to structs: spellings, what is missing or misshaped, what is tied and what is not.
#include "t5gemma2/weights.hpp"

#include <set>

#include "fixture.hpp"
#include "scratch.hpp"

namespace test_weights {

using namespace t5gemma2;

namespace {

/// A fixture's checkpoint, changed and written to a folder of its own.
class Changed {
 public:
  explicit Changed(const std::function<void(OwnedTensors&)>& change, const std::string& fixture = "basic",
                   const char* config_patch = "{}") {
    OwnedTensors tensors = copy_of(Checkpoint::open(data_folder(fixture)).tensors());
    change(tensors);
    write_file(folder_.path() / "model.safetensors", tensors);
    auto config = nlohmann::json::parse(read_text(data_folder(fixture) / "config.json", "JSON"));
    config.merge_patch(nlohmann::json::parse(config_patch));
    folder_.write("config.json", config.dump());
  }

  Model load() const { return load_model(folder_.path()); }
  std::string complaint() const {
    return error_of([&] { load(); });
  }
  std::string folder() const { return folder_.path().string(); }

 private:
  ScratchFolder folder_;
};

void rename(OwnedTensors& tensors, const std::string& from, const std::string& to) {
  auto node = tensors.extract(from);
  REQUIRE(!node.empty());
  node.key() = to;
  tensors.insert(std::move(node));
}

/// Logits of the fixture's reference inputs.
Matrix logits(const Model& model, const std::string& fixture = "basic") {
  return forward(model, reference_ids("inputs.decoder_input_ids", fixture),
                 encode(model, reference_ids("inputs.input_ids", fixture)));
}

/// The three names of the embedding and the two of its end-of-image vector, in transformers' order.
const std::vector<std::string> embeddings{"model.encoder.embed_tokens.weight", "lm_head.out_proj.weight",
                                          "model.decoder.embed_tokens.weight"};
const std::vector<std::string> eoi_embeddings{"model.encoder.embed_tokens.eoi_embedding",
                                              "model.decoder.embed_tokens.eoi_embedding"};

/// `untied` with config.json's word that all is tied, and of its embeddings only what `kept` names.
Model tied_with(const std::set<std::string>& kept,
                const char* config_patch = R"({"tie_word_embeddings": true})") {
  const auto drop = [&](OwnedTensors& tensors) {
    for (const auto& names : {embeddings, eoi_embeddings})
      for (const std::string& name : names)
        if (!kept.contains(name)) tensors.erase(name);
  };
  return Changed(drop, "untied", config_patch).load();
}

/// Which of the stored tensors a matrix is.
std::string name_in(const Model& model, const Weight& weight) {
  for (const auto& [name, tensor] : model.checkpoint->tensors())
    if (tensor.data == weight.data) return name;
  return "none";
}

const std::string q_proj = "model.decoder.layers.1.self_attn.q_proj.weight";

}  // namespace

TEST_CASE("weights: every spelling of a name has one canonical name, its module's path in transformers") {
  for (const std::string name :
       {"model.encoder.layers.0.mlp.up_proj.weight", "encoder.layers.0.mlp.up_proj.weight",
        "model.encoder.text_model.layers.0.mlp.up_proj.weight",
        "encoder.text_model.layers.0.mlp.up_proj.weight"})
    CHECK(canonical_name(name) == "model.encoder.text_model.layers.0.mlp.up_proj.weight");
  CHECK(canonical_name("model.decoder.norm.weight") == "model.decoder.norm.weight");
  for (const std::string name :
       {"module.model.decoder.norm.weight", "_orig_mod.model.decoder.norm.weight",
        "base_model.model.model.decoder.norm.weight", "module._orig_mod.base_model.model.decoder.norm.weight",
        "model._orig_mod.decoder.norm.weight", "model.decoder._orig_mod.norm._orig_mod.weight"})
    CHECK(canonical_name(name) == "model.decoder.norm.weight");
  CHECK(canonical_name("module.lm_head.out_proj.weight") == "lm_head.out_proj.weight");
  CHECK(canonical_name("encoder._orig_mod._orig_mod.layers.0.a") == "model.encoder.text_model.layers.0.a");
  CHECK(canonical_name("lm_head.out_proj.weight") == "lm_head.out_proj.weight");
  CHECK(canonical_name("model.encoder.embed_tokens.eoi_embedding") ==
        "model.encoder.text_model.embed_tokens.eoi_embedding");
  CHECK(canonical_name("model.encoder.vision_tower.vision_model.embeddings.patch_embedding.bias") ==
        "model.encoder.vision_tower.embeddings.patch_embedding.bias");
  CHECK(canonical_name("model.encoder.vision_tower.post_layernorm.bias") ==
        "model.encoder.vision_tower.post_layernorm.bias");
  CHECK(canonical_name("encoder.multi_modal_projector.mm_soft_emb_norm.weight") ==
        "model.encoder.multi_modal_projector.mm_soft_emb_norm.weight");
}

TEST_CASE("weights: names of folders that hold an encoder alone") {
  for (const std::string name :
       {"layers.0.mlp.up_proj.weight", "text_model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj.weight", "module.text_model.layers.0.mlp.up_proj.weight"})
    CHECK(canonical_name(name) == "model.encoder.text_model.layers.0.mlp.up_proj.weight");
  CHECK(canonical_name("embed_tokens.weight") == "model.encoder.text_model.embed_tokens.weight");
  CHECK(canonical_name("norm.weight") == "model.encoder.text_model.norm.weight");
  CHECK(canonical_name("vision_tower.vision_model.post_layernorm.bias") ==
        "model.encoder.vision_tower.post_layernorm.bias");
  CHECK(canonical_name("multi_modal_projector.mm_soft_emb_norm.weight") ==
        "model.encoder.multi_modal_projector.mm_soft_emb_norm.weight");
  CHECK(canonical_name("layers.3.input_layernorm.weight") ==
        "model.encoder.text_model.layers.3.pre_self_attn_layernorm.weight");
  CHECK(canonical_name("layers.3.post_attention_layernorm.weight") ==
        "model.encoder.text_model.layers.3.post_self_attn_layernorm.weight");
}

TEST_CASE("weights: canonical_name leaves alone what only looks like a spelling") {
  for (const std::string name :
       {"decoder.text_model.norm.weight", "encoder.vision_tower.encoder.vision_model.weight",
        "decoder.module.norm.weight"})
    CHECK(canonical_name(name) == "model." + name);
  CHECK(canonical_name("encoder.layers.0.text_model.weight") ==
        "model.encoder.text_model.layers.0.text_model.weight");
  for (const std::string name :
       {"models.encoder.norm.weight", "modules.x", "x_orig_mod.norm", "encoders.x", ""})
    CHECK(canonical_name(name) == name);
}

TEST_CASE("weights: canonical names are those of the taps: each parameter's module reports a tensor") {
  // A name without its last part is the module; the reference holds a tap of it, or of a module below it.
  for (const auto& [fixture, names] :
       {std::pair("basic", &fixture_reference().tensors), {"images", &fixture_reference("images").tensors}})
    for (const auto& [stored, tensor] : fixture_model(fixture).checkpoint->tensors()) {
      const std::string name = canonical_name(stored), module = name.substr(0, name.rfind('.'));
      CAPTURE(name);
      const auto at = names->lower_bound(module);
      const bool reported = at != names->end() && at->first.starts_with(module);
      CHECK((reported || module.ends_with("position_embedding")));  // its sum is reported as `embeddings`
    }
}

TEST_CASE("weights: saved_name is the spelling of save_pretrained, in which the fixtures are stored") {
  for (const char* fixture : {"basic", "untied", "images"})
    for (const auto& [stored, tensor] : fixture_model(fixture).checkpoint->tensors())
      if (stored.find(".vision_model.") == stored.npos) CHECK(saved_name(canonical_name(stored)) == stored);
}

TEST_CASE(
    "weights: each layer gets its type, window, heads, eps and scale from its own side's configuration") {
  const Model& model = fixture_model("unequal");
  const auto check = [](const std::vector<Layer>& layers, const TextConfig& c) {
    REQUIRE(std::ssize(layers) == c.num_hidden_layers);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Attention& w = layers[i].self_attn;
      CHECK(layers[i].type == c.layer_types[i]);
      CHECK(w.window == (c.layer_types[i] == LayerType::full_attention ? no_window : c.sliding_window));
      CHECK(w.heads.query == c.num_attention_heads);
      CHECK(w.heads.kv == c.num_key_value_heads);
      CHECK(w.heads.dim == c.head_dim);
      CHECK(layers[i].eps == c.rms_norm_eps);
      CHECK(w.eps == c.rms_norm_eps);
      CHECK(w.scale == doctest::Approx(1 / std::sqrt(c.query_pre_attn_scalar)).epsilon(1e-6));
    }
  };
  check(model.encoder.layers, model.config.encoder);
  check(model.decoder.layers, model.config.decoder);
  CHECK(model.encoder.layers.size() == 1);
  CHECK(model.decoder.layers.size() == 3);
  CHECK(model.encoder.layers[0].self_attn.window == 4);
  CHECK(model.decoder.layers[1].self_attn.window == 3);
  CHECK(model.encoder.layers[0].eps == 0.01f);
  CHECK(model.decoder.layers[0].eps == 0.05f);
}

TEST_CASE("weights: scores are scaled by query_pre_attn_scalar, not by head_dim") {
  const Model& model = fixture_model();
  REQUIRE(model.config.encoder.query_pre_attn_scalar == 7);
  REQUIRE(model.config.encoder.head_dim == 8);
  for (const std::string& side : {encoder_path, decoder_path})
    CHECK(fixture_layer(side, 0).self_attn.scale == doctest::Approx(0.3779644730).epsilon(1e-6));
}

TEST_CASE("weights: each tensor comes to the member of its name") {
  // Every tensor filled with a number of its own.
  std::map<std::string, float> number;
  const Changed checkpoint([&](OwnedTensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      const float value = number[name] = static_cast<float>(number.size());
      std::fill_n(tensor.floats(), tensor.bytes.size() / 4, value);
    }
  });
  const Model model = checkpoint.load();
  const auto first = [](const auto& w) {
    if constexpr (requires { w.rows; })
      return to_matrix(w, 0, 1)(0, 0);
    else
      return w[0];
  };
  for (const auto& [side, layers] :
       {std::pair("model.encoder.", &model.encoder.layers), {"model.decoder.", &model.decoder.layers}})
    for (const std::size_t i : {0u, 1u}) {
      const Layer& w = layers->at(i);
      const auto expected = [&, at = std::string(side) + "layers." + std::to_string(i) +
                                     "."](const char* name) { return number.at(at + name + ".weight"); };
      CHECK(first(w.self_attn.q_proj) == expected("self_attn.q_proj"));
      CHECK(first(w.self_attn.k_proj) == expected("self_attn.k_proj"));
      CHECK(first(w.self_attn.v_proj) == expected("self_attn.v_proj"));
      CHECK(first(w.self_attn.o_proj) == expected("self_attn.o_proj"));
      CHECK(first(w.self_attn.q_norm) == expected("self_attn.q_norm"));
      CHECK(first(w.self_attn.k_norm) == expected("self_attn.k_norm"));
      CHECK(first(w.mlp.gate_proj) == expected("mlp.gate_proj"));
      CHECK(first(w.mlp.up_proj) == expected("mlp.up_proj"));
      CHECK(first(w.mlp.down_proj) == expected("mlp.down_proj"));
      CHECK(first(w.pre_self_attn_layernorm) == expected("pre_self_attn_layernorm"));
      CHECK(first(w.post_self_attn_layernorm) == expected("post_self_attn_layernorm"));
      CHECK(first(w.pre_feedforward_layernorm) == expected("pre_feedforward_layernorm"));
      CHECK(first(w.post_feedforward_layernorm) == expected("post_feedforward_layernorm"));
    }
  CHECK(first(model.encoder.norm) == number.at("model.encoder.norm.weight"));
  CHECK(first(model.decoder.norm) == number.at("model.decoder.norm.weight"));
  CHECK(first(model.encoder.embed_tokens.weight) == number.at("model.encoder.embed_tokens.weight"));
  CHECK(first(model.encoder.embed_tokens.eoi_embedding) ==
        number.at("model.encoder.embed_tokens.eoi_embedding"));
}

TEST_CASE("weights: the decoder's embedding and head are the encoder's unless others are stored") {
  const Model& tied = fixture_model();
  CHECK(tied.decoder.embed_tokens.weight.data == tied.encoder.embed_tokens.weight.data);
  CHECK(tied.decoder.lm_head.data == tied.encoder.embed_tokens.weight.data);
  CHECK(tied.decoder.embed_tokens.eoi_token_index == 62);
  const Model& untied = fixture_model("untied");
  const std::byte *encoder = untied.encoder.embed_tokens.weight.data,
                  *input = untied.decoder.embed_tokens.weight.data, *head = untied.decoder.lm_head.data;
  CHECK(encoder != input);
  CHECK(encoder != head);
  CHECK(input != head);
  CHECK(untied.decoder.embed_tokens.eoi_embedding != untied.encoder.embed_tokens.eoi_embedding);
  CHECK(untied.notes.empty());
}

TEST_CASE("weights: each of a decoder's own matrices counts: input, end-of-image vector and head") {
  const Matrix reference = reference_tensor("logits", "untied");
  CHECK(difference(logits(fixture_model("untied"), "untied"), reference) <= 1e-5);
  const std::set<std::string> all{embeddings[0], embeddings[1], embeddings[2], eoi_embeddings[0],
                                  eoi_embeddings[1]};
  CHECK(same_bits(logits(tied_with(all), "untied"), logits(fixture_model("untied"), "untied")));
  for (const std::string& name : {embeddings[1], embeddings[2], eoi_embeddings[1]}) {
    std::set<std::string> others = all;
    others.erase(name);
    CAPTURE(name);
    CHECK(difference(logits(tied_with(others), "untied"), reference) > 1e-3);
  }
}

TEST_CASE("weights: any one of the tied names serves for all") {
  const Matrix expected = logits(fixture_model());
  for (const std::string& weight : embeddings)
    for (const std::string& eoi : eoi_embeddings) {
      CAPTURE(weight);
      CAPTURE(eoi);
      const Changed checkpoint([&](OwnedTensors& tensors) {
        rename(tensors, embeddings[0], weight);
        rename(tensors, eoi_embeddings[0], eoi);
      });
      const Model model = checkpoint.load();
      CHECK(same_bits(logits(model), expected));
      CHECK(model.notes.empty());
    }
}

TEST_CASE(
    "weights: what is stored is used as stored, what is not is the first of the others, as in transformers") {
  const std::string &encoder = embeddings[0], &head = embeddings[1], &decoder = embeddings[2];
  struct Case {
    std::set<std::string> stored;
    std::string encoder, head, decoder;
  };
  const std::vector<Case> cases{{{encoder}, encoder, encoder, encoder},
                                {{head}, head, head, head},
                                {{decoder}, decoder, decoder, decoder},
                                {{encoder, head}, encoder, head, encoder},
                                {{encoder, decoder}, encoder, encoder, decoder},
                                {{head, decoder}, head, head, decoder},
                                {{encoder, head, decoder}, encoder, head, decoder}};
  for (const Case& expected : cases)
    for (const char* tie :
         {R"({"tie_word_embeddings": true})", R"({"tie_word_embeddings": null})"}) {  // null: removed
      std::set<std::string> stored = expected.stored;
      stored.insert(eoi_embeddings[0]);
      const Model model = tied_with(stored, tie);
      CAPTURE(expected.encoder + ", " + expected.head + ", " + expected.decoder);
      CHECK(name_in(model, model.encoder.embed_tokens.weight) == expected.encoder);
      CHECK(name_in(model, model.decoder.lm_head) == expected.head);
      CHECK(name_in(model, model.decoder.embed_tokens.weight) == expected.decoder);
    }
}

TEST_CASE("weights: where config.json unties them, each of them has to be stored") {
  for (const auto& names : {embeddings, eoi_embeddings})
    for (const std::string& name : names) {
      const Changed checkpoint([&](OwnedTensors& tensors) { REQUIRE(tensors.erase(name) == 1); }, "untied");
      const std::string message = checkpoint.complaint();
      contains(message, checkpoint.folder() + ": " + name + ": expected a tensor [");
      contains(message, "; tie_word_embeddings is false), found none");
    }
  contains(
      Changed([](OwnedTensors&) {}, "basic", R"({"tie_word_embeddings": false})").complaint(),
      ": model.decoder.embed_tokens.weight: expected a tensor [64, 24] (decoder: vocab_size, hidden_size; "
      "tie_word_embeddings is false), found none");
}

TEST_CASE("weights: a checkpoint with text_model in its names is the same model") {
  const Changed checkpoint([](OwnedTensors& tensors) {
    OwnedTensors renamed;
    for (auto& [name, tensor] : tensors)
      renamed[name.starts_with("model.encoder.") ? "model.encoder.text_model." + name.substr(14) : name] =
          tensor;
    tensors = renamed;
  });
  const Model model = checkpoint.load();
  CHECK(model.notes.empty());
  CHECK(same_bits(logits(model), logits(fixture_model())));
}

TEST_CASE("weights: names in wrappers, all of them or some, are the same model") {
  const Matrix expected = logits(fixture_model());
  for (const std::string wrapper :
       {"module.", "_orig_mod.", "base_model.model.", "module._orig_mod.", "base_model.model.model."})
    for (const std::size_t every : {1u, 2u}) {
      const Changed checkpoint([&](OwnedTensors& tensors) {
        OwnedTensors renamed;
        for (auto& [name, tensor] : tensors)
          renamed[renamed.size() % every == 0 ? wrapper + name : name] = tensor;
        tensors = renamed;
      });
      CAPTURE(wrapper);
      const Model model = checkpoint.load();
      CHECK(model.notes.empty());
      CHECK(same_bits(logits(model), expected));
    }
  const Changed twice([](OwnedTensors& tensors) {
    tensors["module.model.encoder.norm.weight"] = tensors.at("model.encoder.norm.weight");
  });
  contains(twice.complaint(), "expected one spelling of each name, found also model.encoder.norm.weight");
}

TEST_CASE("weights: a LoRA adapter that is not merged is refused") {
  const Changed checkpoint([](OwnedTensors& tensors) {
    const std::string at = "base_model.model.model.decoder.layers.1.self_attn.q_proj.";
    rename(tensors, q_proj, at + "base_layer.weight");
    tensors[at + "lora_A.default.weight"] = owned<float>(Dtype::f32, {1, 2}, {1, 2});
  });
  contains(checkpoint.complaint(),
           "lora_A.default.weight: expected the weights of a model alone, found a LoRA adapter");
}

TEST_CASE("weights: an embedding resized behind config.json's back") {
  const auto resize = [](OwnedTensors& tensors) {
    tensors[embeddings[0]] = owned(Dtype::f32, {70, 24}, std::vector<float>(70 * 24));
  };
  contains(Changed(resize).complaint(),
           embeddings[0] +
               ": expected 64 rows (encoder.text_config: vocab_size), found 70; if they are right, set "
               "vocab_size to 70 in encoder.text_config and decoder of config.json");
  const char* both = R"({"encoder": {"text_config": {"vocab_size": 70}}, "decoder": {"vocab_size": 70}})";
  CHECK(Changed(resize, "basic", both).load().decoder.lm_head.rows == 70);
}

TEST_CASE("weights: a missing tensor is named, with its shape and the fields of the configuration") {
  const Changed checkpoint([](OwnedTensors& tensors) { tensors.erase(q_proj); });
  CHECK(checkpoint.complaint() ==
        checkpoint.folder() + ": " + q_proj +
            ": expected a tensor [32, 24] (decoder: num_attention_heads*head_dim, hidden_size), found none");
}

TEST_CASE("weights: no tensor may be missing") {
  const OwnedTensors all = copy_of(Checkpoint::open(data_folder("basic")).tensors());
  for (const auto& [name, tensor] : all) {
    const Changed checkpoint([&, gone = name](OwnedTensors& tensors) { tensors.erase(gone); });
    contains(checkpoint.complaint(), name);
  }
}

TEST_CASE("weights: a misshaped tensor is named, with the shape and the fields of the configuration") {
  const Changed checkpoint(
      [](OwnedTensors& tensors) { std::swap(tensors.at(q_proj).shape[0], tensors.at(q_proj).shape[1]); });
  const std::string message = checkpoint.complaint();
  contains(message, q_proj);
  contains(message, "[32, 24] (decoder: num_attention_heads*head_dim, hidden_size), found F32 [24, 32]");
}

TEST_CASE("weights: no tensor may have another shape") {
  const OwnedTensors all = copy_of(Checkpoint::open(data_folder("basic")).tensors());
  for (const auto& [name, tensor] : all) {
    const Changed checkpoint([&, wrong = name](OwnedTensors& tensors) {
      tensors.at(wrong).shape.push_back(1);  // as many numbers
    });
    const std::string message = checkpoint.complaint();
    contains(message, name);
    contains(message, name.starts_with("model.encoder.") ? "(encoder.text_config: " : "(decoder: ");
  }
}

TEST_CASE("weights: numbers that are not real are refused") {
  const Changed checkpoint([](OwnedTensors& tensors) { tensors.at(q_proj).dtype = Dtype::i32; });
  contains(checkpoint.complaint(), q_proj + ": expected F32, F16 or BF16 numbers, found I32");
}

TEST_CASE("weights: two spellings of one name are refused") {
  const Changed checkpoint([](OwnedTensors& tensors) {
    tensors["model.encoder.text_model.norm.weight"] = tensors.at("model.encoder.norm.weight");
  });
  const std::string message = checkpoint.complaint();
  contains(message, "expected one spelling of each name");
  contains(message, "model.encoder.text_model.norm.weight");
  contains(message, "model.encoder.norm.weight");
}

TEST_CASE("weights: unknown tensors are listed as they are stored, and vision is not unknown") {
  const Changed checkpoint([](OwnedTensors& tensors) {
    const OwnedTensor one = owned<float>(Dtype::f32, {2}, {1, 2});
    tensors["model.encoder.text_model.extra.weight"] = one;
    tensors["model.decoder.layers.2.mlp.up_proj.weight"] = one;
    tensors["something.else"] = one;
    tensors["model.encoder.vision_tower.head.probe"] = one;
    tensors["model.encoder.vision_tower.vision_model.head.attention.in_proj_weight"] = one;
  });
  const Checkpoint stored = Checkpoint::open(checkpoint.folder());
  WeightReader read(stored);
  const Config config = load_config(checkpoint.folder());
  const Encoder encoder = read_encoder(read, config);
  read_decoder(read, config, encoder.embed_tokens);
  CHECK(read.unknown() == std::vector<std::string>{"model.decoder.layers.2.mlp.up_proj.weight",
                                                   "model.encoder.text_model.extra.weight",
                                                   "something.else"});
}

TEST_CASE("weights: a stored head or decoder embedding of another shape is refused") {
  for (const std::string name : {"lm_head.out_proj.weight", "model.decoder.embed_tokens.weight"}) {
    const Changed checkpoint([&](OwnedTensors& tensors) {
      tensors[name] = owned(Dtype::f32, {63, 24}, std::vector<float>(63 * 24));
    });
    const std::string message = checkpoint.complaint();
    contains(message, name);
    contains(message, "decoder: vocab_size, hidden_size");
  }
}

TEST_CASE("weights: a configuration in which layers have no type is refused") {
  const Checkpoint stored = Checkpoint::open(data_folder("basic"));
  WeightReader read(stored);
  Config config = load_config(data_folder("basic"));
  config.encoder.layer_types.pop_back();
  config.decoder.layer_types.clear();
  const char* expected = "layer_types: expected one for each of num_hidden_layers, found ";
  CHECK_THROWS_WITH_AS(read_encoder(read, config), (expected + std::string("1")).c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(read_decoder(read, config, {}), (expected + std::string("0")).c_str(),
                       std::invalid_argument);
}

TEST_CASE("weights: a renamed tensor is both missing and unknown") {
  const Changed checkpoint(
      [](OwnedTensors& tensors) { rename(tensors, "model.decoder.norm.weight", "model.decoder.norm"); });
  contains(checkpoint.complaint(), "model.decoder.norm.weight: expected a tensor [24]");
}

}  // namespace test_weights
