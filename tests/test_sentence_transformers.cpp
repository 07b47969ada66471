// Folders of sentence-transformers: what is read, and one clear line for everything that is not done here. That embeddings
// are those of sentence-transformers is tested with it (tests/against_transformers/test_embeddings.py).
#include "t5gemma2/embedding/sentence_transformers.hpp"

#include "fixture.hpp"
#include "scratch.hpp"
#include "tokenizer_fixture.hpp"

namespace test_sentence_transformers {

using namespace t5gemma2;
using nlohmann::json;

namespace {

const json transformer = {{"path", ""}, {"type", "sentence_transformers.models.Transformer"}},
           pooling = {{"path", "1"}, {"type", "sentence_transformers.models.Pooling"}},
           dense = {{"path", "2"}, {"type", "sentence_transformers.base.modules.dense.Dense"}},
           normalize = {{"path", "3"}, {"type", "sentence_transformers.models.Normalize"}},
           dense_config = {{"in_features", 4},
                           {"out_features", 3},
                           {"bias", true},
                           {"activation_function", "torch.nn.modules.activation.Tanh"}};

/// A folder with all of them.
class Sentence {
 public:
  Sentence() {
    write("modules.json", json::array({transformer, pooling, dense, normalize}));
    write("1/config.json", {{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", false}});
    write("2/config.json", dense_config);
    const std::vector<float> numbers(12, 0.5f);
    write_file(folder_.path() / "2" / "model.safetensors",
               {{"linear.weight", owned(Dtype::f32, {3, 4}, numbers)},
                {"linear.bias", owned(Dtype::f32, {3}, std::vector<float>(3, 1.0f))}});
  }
  void write(const std::string& name, const json& content) const { folder_.write(name, content.dump()); }
  SentenceTransformer load() const { return load_sentence_transformer(folder_.path()); }
  std::string error() const {
    return error_of([&] { load(); });
  }

 private:
  ScratchFolder folder_;
};

}  // namespace

TEST_CASE("sentence transformers: modules are read in order") {
  const Sentence folder;
  const SentenceTransformer read = folder.load();
  CHECK(read.options.pooling == Pooling::cls);
  REQUIRE(read.options.steps.size() == 2);
  const auto& layer = std::get<Dense>(read.options.steps[0]);
  CHECK(std::holds_alternative<Normalize>(read.options.steps[1]));
  CHECK(layer.activation == Activation::tanh);
  const Matrix e = Matrix::Constant(1, 4, 2.0f);
  CHECK(difference(apply(layer, e), Matrix::Constant(1, 3, std::tanh(5.0f))) <= tight);  // 4 * 2 * 0.5 + 1
  CHECK(read.include_prompt);
  CHECK(!read.max_seq_length);
  CHECK(read.prompt({}).empty());
}

TEST_CASE("sentence transformers: a folder without modules.json is pooled by the mean") {
  const ScratchFolder folder;
  const SentenceTransformer read = load_sentence_transformer(folder.path());
  CHECK(read.model == folder.path());
  CHECK(read.options.pooling == Pooling::mean);
  CHECK(read.options.steps.empty());
}

TEST_CASE("sentence transformers: lengths and prompts") {
  const Sentence folder;
  folder.write("tokenizer_config.json", {{"model_max_length", 1e30}});
  folder.write("config.json", {{"max_position_embeddings", 77}});
  CHECK(folder.load().max_seq_length == 77);
  folder.write("tokenizer_config.json", {{"model_max_length", 50}});
  CHECK(folder.load().max_seq_length == 50);
  folder.write("sentence_bert_config.json", {{"max_seq_length", 99}, {"do_lower_case", false}});
  CHECK(folder.load().max_seq_length == 99);
  folder.write("sentence_bert_config.json", {{"max_seq_length", 1e30}, {"processor_kwargs", json::object()}});
  CHECK(!folder.load().max_seq_length);
  folder.write("config_sentence_transformers.json",
               {{"prompts", {{"query", "q: "}, {"document", ""}}}, {"default_prompt_name", "query"}});
  CHECK(folder.load().prompt({}) == "q: ");
  CHECK(folder.load().prompt("document").empty());
  CHECK(
      contains(error_of([&] { folder.load().prompt("x"); }), "expected one of document, query, found \"x\""));
}

TEST_CASE("sentence transformers: long texts are cut, and eos stays") {
  using Ids = std::vector<TokenId>;
  const Tokenizer &plain = tokenizer_fixture::small(),
                  with_eos = tokenizer_fixture::from(tokenizer_fixture::with_eos());
  const TokenId eos = with_eos.eos_id().value();
  CHECK(cut_to(3, plain, {2, 5, 6}) == Ids{2, 5, 6});
  CHECK(cut_to(3, plain, {2, 5, 6, 7}) == Ids{2, 5, 6});
  CHECK(cut_to({}, plain, {2, 5, 6, 7}).size() == 4);
  CHECK(cut_to(3, with_eos, {2, 5, 6, eos}) == Ids{2, 5, eos});
  SentenceTransformer how;
  how.include_prompt = false;
  how.max_seq_length = 8;
  const EmbedInput input = embed_input(how, with_eos, "ab ", "abababababab");
  CHECK(input.ids.size() <= 8);
  CHECK(input.ids.back() == eos);
  CHECK(input.unpooled == std::ssize(with_eos.encode("ab ")) - 1);
  CHECK(embed_input(how, plain, "ab", "").unpooled ==
        std::ssize(plain.encode("ab")) - 1);  // the last token is pooled
  how.max_seq_length = 3;
  CHECK(contains(error_of([&] { embed_input(how, plain, "a b a b a b", "a"); }),
                 "fewer than max_seq_length 3, found"));
}

TEST_CASE("sentence transformers: what is not done here is refused by name") {
  const auto refused = [](const std::string& file, const json& content, const std::string& message) {
    const Sentence folder;
    folder.write(file, content);
    return contains(folder.error(), message);
  };
  const auto changed = [](json whole, const char* key, const json& value) {
    whole[key] = value;
    return whole;
  };
  CHECK(refused("1/config.json", {{"pooling_mode", "max"}},
                "expected one pooling: mean, cls or lasttoken, found max"));
  CHECK(refused("1/config.json", {{"pooling_mode_mean_tokens", true}, {"pooling_mode_cls_token", true}},
                "found cls and mean"));
  CHECK(refused("1/config.json", {{"pooling_mode", 5}}, "pooling_mode: expected a text, found 5"));
  CHECK(refused("modules.json", json::array(), "expected a Transformer and a Pooling, found 0 modules"));
  CHECK(
      refused("modules.json", json::array({pooling}), "[0].type: expected Transformer first, and no other"));
  CHECK(refused("modules.json", json::array({transformer, dense}),
                "[1].type: expected Pooling behind Transformer"));
  CHECK(refused("modules.json", json::array({transformer, pooling, pooling}),
                "[2].type: expected Pooling behind"));
  CHECK(refused("modules.json", json::array({transformer}),
                "expected a Transformer and a Pooling, found 1 modules"));
  CHECK(refused(
      "modules.json",
      json::array(
          {transformer, pooling, {{"path", "x"}, {"type", "sentence_transformers.models.LayerNorm"}}}),
      "[2].type: expected Dense or Normalize behind Pooling, found "
      "\"sentence_transformers.models.LayerNorm\""));
  CHECK(refused("2/config.json",
                changed(dense_config, "activation_function", "torch.nn.modules.activation.GELU"),
                "activation_function: expected torch.nn.modules.linear.Identity"));
  CHECK(
      refused("2/config.json", changed(dense_config, "use_residual", true), "use_residual: expected false"));
  CHECK(refused("2/config.json", changed(dense_config, "module_input_name", "token_embeddings"),
                "module_input_name: expected \"sentence_embedding\", found \"token_embeddings\""));
  CHECK(refused("2/config.json", changed(dense_config, "in_features", 5),
                "linear.weight: expected F32 [3, 5]"));
  CHECK(refused("2/config.json", changed(dense_config, "out_features", 0),
                "out_features: expected a whole number"));
  CHECK(refused("modules.json", json::array({{{"path", ""}, {"type", "custom_st.Transformer"}}}),
                "[0].type: expected a module of sentence-transformers, found \"custom_st.Transformer\""));
  CHECK(refused("modules.json",
                json::array({changed(transformer, "name", "0"), changed(pooling, "name", "0")}),
                "[1].name: expected a name of its own for each module, found \"0\""));
  CHECK(refused("1/config.json", {{"pooling_mode", json::array()}}, "lasttoken, found none"));
  CHECK(refused("1/config.json", {{"pooling_mode", nullptr}}, "lasttoken, found none"));
  CHECK(refused("2/config.json", changed(dense_config, "bias", false),
                "linear.bias: expected linear.weight alone"));
  CHECK(refused("2/config.json", changed(dense_config, "bias", nullptr), "bias: expected true or false"));
  CHECK(refused("modules.json", json::array({transformer, pooling, dense, dense}),
                "in_features: expected 3, as the module before it gives, found 4"));
  CHECK(refused("config.json", {{"text_config", {{"hidden_size", 640}}}},
                "2/config.json: in_features: expected 640, as the module before it gives, found 4"));
  CHECK(refused("config_sentence_transformers.json", {{"default_prompt_name", "x"}},
                "default_prompt_name: expected a name of prompts, found \"x\""));
  CHECK(refused("config_sentence_transformers.json", {{"model_type", "SparseEncoder"}},
                "model_type: expected \"SentenceTransformer\""));
  CHECK(
      refused("tokenizer_config.json", {{"truncation_side", "left"}}, "truncation_side: expected \"right\""));
  CHECK(refused("sentence_bert_config.json", {{"processing_kwargs", {{"text", 1}}}},
                "processing_kwargs: expected none"));
  CHECK(
      refused("sentence_bert_config.json", {{"other", 1}}, "other: expected none: it is not followed here"));
  CHECK(refused("sentence_bert_config.json", {{"module_output_name", "sentence_embedding"}},
                "module_output_name: expected \"token_embeddings\""));
  CHECK(refused("sentence_bert_config.json", {{"modality_config", {{"message", {{"method", "forward"}}}}}},
                "modality_config.message: expected none: chats are not done here"));
  CHECK(refused("sentence_bert_config.json",
                {{"modality_config", {{"text", {{"method_output_name", {"hidden_states", 2}}}}}}},
                "modality_config.text.method_output_name: expected \"last_hidden_state\""));
  CHECK(refused("sentence_bert_config.json", {{"do_lower_case", true}}, "do_lower_case: expected false"));
  CHECK(refused("sentence_bert_config.json", {{"max_seq_length", 2}},
                "max_seq_length: expected a number from 3"));
  CHECK(refused("sentence_bert_config.json", {{"query_expansion", {{"a", 1}}}},
                "query_expansion: expected none"));
}

}  // namespace test_sentence_transformers
