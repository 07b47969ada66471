// Embeddings: each step beside its equation, texts together as alone, and hidden states as the reference's layers.
#include "t5gemma2/embed.hpp"

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"

namespace test_embed {

using namespace t5gemma2;

namespace {

/// Texts of 1 to 40 ids, with end-of-image tokens: longer than the window of the fixture `basic`.
std::vector<EmbedInput> some_texts(std::size_t count) {
  std::mt19937 random(7);
  const auto eoi = static_cast<TokenId>(fixture_model().config.eoi_token_index.value());
  std::vector<EmbedInput> texts(count);
  for (EmbedInput& text : texts) {
    const std::size_t n = 1 + random() % 40;
    for (std::size_t i = 0; i < n; ++i)
      text.ids.push_back(i % 9 == 5 ? eoi : static_cast<TokenId>(random() % 60));
  }
  return texts;
}

EmbedOptions every_token(std::optional<Index> layer = {}) {
  EmbedOptions options;
  options.layer = layer;
  options.pooling = Pooling::none;
  return options;
}

}  // namespace

TEST_CASE("embed: pooling") {
  const Matrix h = random_matrix(5, 3, 1);
  CHECK(same_bits(pool(h, Pooling::none), h));
  CHECK(same_bits(pool(h, Pooling::cls), h.row(0)));
  CHECK(same_bits(pool(h, Pooling::last), h.row(4)));
  CHECK(difference(pool(h, Pooling::mean), h.colwise().mean()) <= tight);
  CHECK(same_bits(pool(h, Pooling::cls, 2), h.row(2)));
  CHECK(difference(pool(h, Pooling::mean, 3), h.bottomRows(2).colwise().mean()) <= tight);
  CHECK(argument_error([&] { pool(h, Pooling::mean, 5); }) == "pool first: expected a row of h, found 5");
}

TEST_CASE("embed: dense layers and normalisation") {
  const Matrix e = random_matrix(4, 6, 2), W = random_matrix(9, 6, 3);
  const StoredMatrix stored(W);
  const Vector bias = random_vector(9, 4);
  const Matrix y = (e * W.transpose()).rowwise() + bias.transpose();
  CHECK(difference(apply(Dense{stored.weight(), bias, Activation::identity}, e), y) <= tight);
  CHECK(difference(apply(Dense{stored.weight(), bias, Activation::tanh}, e), Matrix(y.array().tanh())) <=
        tight);
  CHECK(difference(apply(Dense{stored.weight(), bias, Activation::relu}, e), y.cwiseMax(0.0f)) <= tight);
  CHECK(difference(apply(Dense{stored.weight(), {}, Activation::identity}, e), e * W.transpose()) <= tight);
  const Matrix unit = apply(Normalize{}, e);
  for (Index row = 0; row < e.rows(); ++row) CHECK(std::abs(unit.row(row).norm() - 1) <= 1e-6f);
  CHECK(apply(Normalize{}, Matrix(Matrix::Zero(1, 3))).isZero(0));
  CHECK(rows_with_nan(apply(Normalize{}, with_nan(e, 2, 1))) == range(2, 2));
  CHECK(apply(Normalize{}, with_nan(e, 2, 1)).row(2).array().isNaN().all());
  CHECK(rows_with_nan(apply(Dense{stored.weight(), {}, Activation::relu}, with_nan(e, 2, 1))) == range(2, 2));
}

TEST_CASE("embed: steps, then dimensions, then the length") {
  const Matrix h = random_matrix(5, 6, 2), W = random_matrix(9, 6, 3);
  const StoredMatrix stored(W);
  EmbedOptions options;
  options.steps = {Normalize{}, Dense{stored.weight(), {}, Activation::tanh}};
  options.dimensions = 4;
  options.normalize = true;
  CHECK(width_of(options, 6) == 4);
  const Matrix mean = h.colwise().mean(), wide = (mean / mean.norm() * W.transpose()).array().tanh();
  const Matrix cut = wide.leftCols(4);
  CHECK(difference(embedding_of(h, options), cut / cut.norm()) <= tight);
  options.dimensions = 10;
  CHECK(
      contains(error_of([&] { width_of(options, 6); }), "embeddings: dimensions: expected 1 to 9, found 10"));
  options.dimensions = {};
  CHECK(!argument_error([&] { width_of(options, 7); }).empty());
}

TEST_CASE("embed: hidden states are the reference's layers") {
  const Model& model = fixture_model();
  const EmbedInput text{.ids = reference_ids("inputs.input_ids"), .features = {}};
  const Index layers = model.config.encoder.num_hidden_layers;
  for (Index N = 0; N <= layers; ++N) {
    const std::string name = N == layers ? encoder_path + "norm" : encoder_path + "embed_tokens";
    const Matrix theirs = reference_tensor(N == 0 || N == layers ? name : layer_path(encoder_path, N - 1));
    CHECK(difference(embed(model, {&text, 1}, every_token(N))[0], theirs) <= 1e-5);
  }
  CHECK(!argument_error([&] { embed(model, {&text, 1}, every_token(layers + 1)); }).empty());
}

TEST_CASE("embed: texts have the same numbers together as alone") {
  const Model& model = fixture_model();
  const std::vector<EmbedInput> texts = some_texts(70);
  CHECK(batch_of(texts) < texts.size());  // several batches
  for (Index N = 0; N <= model.config.encoder.num_hidden_layers; ++N) {
    const std::vector<Matrix> together = embed(model, texts, every_token(N));
    REQUIRE(together.size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
      CHECK(difference(together[i], embed(model, {&texts[i], 1}, every_token(N))[0]) <= 1e-6);
  }
}

TEST_CASE("embed: a NaN in one text stays there") {
  const Encoder& encoder = fixture_model().encoder;
  const Index d = encoder.config.hidden_size;
  const std::vector<Chunk> texts{{0, 9}, {9, 1}, {10, 12}};
  const Matrix x = with_nan(random_matrix(22, d, 3), 9, 0);
  CHECK(rows_with_nan(hidden_state(encoder, encoder.config.num_hidden_layers, x, texts)) == range(9, 9));
}

TEST_CASE("embed: any number of threads gives the same bits") {
  const std::vector<EmbedInput> texts = some_texts(12);
  CHECK(same_for_any_threads([&] { return embed(fixture_model(), texts, every_token())[5]; }));
}

TEST_CASE("embed: progress counts tokens to the end") {
  const std::vector<EmbedInput> texts = some_texts(70);
  Index last = -1, all = 0;
  embed(fixture_model(), texts, {}, [&](Index done, Index of) {
    CHECK(done >= last);
    last = done;
    all = of;
  });
  Index tokens = 0;
  for (const EmbedInput& text : texts) tokens += std::ssize(text.ids);
  CHECK(last == tokens);
  CHECK(all == tokens);
}

TEST_CASE("embed: what does not fit is refused") {
  const Model& model = fixture_model();
  const std::vector<EmbedInput> empty(1);
  CHECK(argument_error([&] { embed(model, empty); }) == "embed ids: expected one or more, found none");
  CHECK(embed(model, {}).empty());
  const Matrix x = random_matrix(5, model.config.encoder.hidden_size, 1);
  for (const std::vector<Chunk>& texts :
       {std::vector<Chunk>{}, {{0, 4}}, {{0, 2}, {3, 2}}, {{0, 5}, {5, 0}}, {{1, 4}}})
    CHECK(!argument_error([&] { hidden_state(model.encoder, 1, x, texts); }).empty());
  CHECK(!argument_error([&] { hidden_state(model.encoder, -1, x, std::vector<Chunk>{{0, 5}}); }).empty());
}

// ---- folders with an encoder alone ----

namespace {

/// The encoder of the fixture `basic` in a folder of its own, its names changed by rename(canonical name).
template <class Rename>
void write_encoder(const ScratchFolder& folder, const Rename& rename) {
  OwnedTensors tensors;
  for (auto& [name, tensor] : copy_of(fixture_model().checkpoint->tensors())) {
    const std::string canonical = canonical_name(name), path = "model.encoder.";
    if (canonical.starts_with(path)) tensors[rename(canonical.substr(path.size()))] = tensor;
  }
  write_file(folder.path() / "model.safetensors", tensors);
  nlohmann::json config = open_config(data_folder("basic")).json["encoder"];
  config["model_type"] = "t5gemma2_encoder";
  folder.write("config.json", config.dump());
}

std::string without_text_model(std::string name) {
  return name.starts_with("text_model.") ? name.substr(11) : name;
}

}  // namespace

TEST_CASE("embed: an encoder alone gives what the whole model gives") {
  const std::vector<EmbedInput> texts = some_texts(5);
  const std::vector<Matrix> whole = embed(fixture_model(), texts);
  for (const bool text_model : {false, true}) {
    const ScratchFolder folder;
    write_encoder(folder,
                  [&](const std::string& name) { return text_model ? name : without_text_model(name); });
    const Model model = load_encoder(folder.path());
    CHECK(model.notes.size() == 1);  // eoi_token_index
    const std::vector<Matrix> ours = embed(model, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(same_bits(ours[i], whole[i]));
    CHECK(contains(error_of([&] { load_model(folder.path()); }),
                   "a part of a model: save the whole; t5gemma2-embed"));
    CHECK(!argument_error([&] { start_decoder(model.decoder, whole[0]); }).empty());
  }
}

TEST_CASE("embed: load_encoder takes a whole model, and names what is missing") {
  const Model model = load_encoder(data_folder("untied"));
  CHECK(model.decoder.layers.empty());
  CHECK(model.notes == load_model(data_folder("untied")).notes);
  const ScratchFolder folder;
  write_encoder(folder,
                [](const std::string& name) { return name == "text_model.norm.weight" ? "x" : name; });
  CHECK(contains(error_of([&] { load_encoder(folder.path()); }),
                 "model.encoder.norm.weight: expected a tensor"));
}

}  // namespace test_embed
