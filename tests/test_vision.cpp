// The vision half as a whole: images against the reference, images in prompts, and a clear message for every
// checkpoint that is not as it should be.
#include "t5gemma2/vision/vision.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "allowed_difference.hpp"
#include "scratch.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "vision_fixture.hpp"

namespace test_vision {

using namespace t5gemma2;
using nlohmann::json;

namespace {

using Ids = std::vector<TokenId>;

bool is_vision(const std::string& name) {
  return name.starts_with("model.encoder.vision_tower.") ||
         name.starts_with("model.encoder.multi_modal_projector");
}

OwnedTensors stored_tensors(const std::string& fixture = "images") {
  return copy_of(Checkpoint::open(data_folder(fixture)).tensors());
}

json stored_config(const std::string& fixture = "images") {
  std::ifstream file(data_folder(fixture) / "config.json");
  return json::parse(file);
}

/// A checkpoint folder of these.
Model model_of(const ScratchFolder& folder, const OwnedTensors& tensors, const json& config) {
  write_file(folder.path() / "model.safetensors", tensors);
  folder.write("config.json", config.dump());
  return load_model(folder.path());
}

/// The message of load_vision for the fixture `images` with such tensors and such a config.json. The text
/// half of it must load, without notes.
std::string vision_error(const OwnedTensors& tensors, const json& config = stored_config()) {
  const ScratchFolder folder;
  const Model model = model_of(folder, tensors, config);
  CHECK(model.notes.empty());
  std::string message = error_of([&] { load_vision(model.config, *model.checkpoint); });
  const std::string path = folder.path().string();
  for (std::size_t at; (at = message.find(path)) != message.npos;) message.replace(at, path.size(), "FOLDER");
  return message;
}

/// The same with one number of config.json changed.
std::string error_with(const std::string& pointer, int value) {
  json config = stored_config();
  config.at(json::json_pointer(pointer)) = value;
  return vision_error(stored_tensors(), config);
}

/// H of a prompt, its image features placed by hand: the n-th image token gets the n-th row of `features`.
Matrix encode_by_hand(const Model& model, const Ids& ids, const Matrix& features) {
  Matrix x = embed(model.encoder.embed_tokens, ids);
  Index next = 0;
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == 63) x.row(static_cast<Index>(i)) = features.row(next++);
  CHECK(next == features.rows());
  return encoder(model.encoder, x);
}

/// One below the other.
Matrix stack(const std::vector<Matrix>& parts) {
  Matrix all(0, parts.at(0).cols());
  for (const Matrix& part : parts) {
    Matrix longer(all.rows() + part.rows(), all.cols());
    longer << all, part;
    all = longer;
  }
  return all;
}

constexpr VisionConfig large{.hidden_size = 20,
                             .num_hidden_layers = 2,
                             .num_attention_heads = 4,
                             .intermediate_size = 30,
                             .image_size = 48,
                             .patch_size = 2,
                             .num_channels = 3,
                             .layer_norm_eps = 1e-6f};

}  // namespace

// ---- against the reference ----

TEST_CASE("vision: every tensor and every greedy token of the checkpoints with images is the reference's") {
  std::set<std::string> with_images;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder()))
    if (const auto file = entry.path() / "reference.safetensors"; std::filesystem::exists(file))
      if (SafetensorsFile::open(file).tensors().contains("inputs.pixel_values"))
        with_images.insert(entry.path().filename());
  CHECK(with_images == std::set<std::string>{"images", "images_bfloat16"});
  for (const std::string& name : with_images) {
    CAPTURE(name);
    const Comparison result = compare(fixture_model(name), fixture_reference(name));
    Index vision_tensors = 0;
    for (const TensorComparison& tensor : result.tensors) {
      CAPTURE(tensor.name);
      CHECK(tensor.relative <= allowed_difference(tensor.name, name));
      CHECK(tensor.verdict == Verdict::ok);
      vision_tensors += is_vision(tensor.name);
    }
    CHECK(vision_tensors == (name == "images" ? 30 : 5));
    REQUIRE(result.logits.has_value());
    CHECK(result.logits->same_top == result.logits->rows);
    CHECK(result.logits->max_kl < 1e-9);
    REQUIRE(result.generated.has_value());
    CHECK(result.generated->tokens == 8);
    CHECK(!result.generated->first_difference.has_value());
    CHECK(result.passed());
  }
}

TEST_CASE("vision: compare makes all the reference's tensors, those of the images first") {
  const Comparison result = compare(fixture_model("images"), fixture_reference("images"), 1e-5f);
  std::set<std::string> theirs;
  for (const auto& [name, tensor] : fixture_reference("images").tensors)
    if (!name.starts_with("inputs.") && !name.starts_with(truth_prefix) && name != "generated")
      theirs.insert(name);
  CHECK(result.tensors.size() == theirs.size());
  REQUIRE(result.tensors.size() > 30);
  CHECK(result.tensors[0].name == tower_path + "embeddings.patch_embedding");
  CHECK(result.tensors[29].name == projector_path);
  CHECK(result.tensors[30].name == encoder_path + "embed_tokens");
}

TEST_CASE("vision: encode_image makes the reference's features") {
  for (const std::string name : {"images", "images_bfloat16"})
    for (const Index image : fixture_images(name)) {
      const Matrix features = encode_image(fixture_vision(name), image_pixels(image, name));
      CHECK(difference(features, image_tensor(projector_path, image, name)) <= 5e-6);
    }
}

TEST_CASE("vision: all spellings and storage types make the same vision half") {
  const ScratchFolder folder;
  OwnedTensors other;
  for (const auto& [name, tensor] : stored_tensors()) {
    std::string spelled = name;
    if (const auto at = spelled.find("vision_model."); at != spelled.npos) spelled.erase(at, 13);
    other[spelled] = tensor;
  }
  CHECK(!other.contains("model.encoder.vision_tower.vision_model.post_layernorm.weight"));
  CHECK(other.contains("model.encoder.vision_tower.post_layernorm.weight"));
  const Model model = model_of(folder, other, stored_config());
  const Vision vision = load_vision(model.config, *model.checkpoint);
  CHECK(same_bits(encode_image(vision, image_pixels(0)), fixture_image_features()[0]));
  CHECK(vision.vision_tower.patch_embedding.weight.type == StorageType::float32);
  CHECK(fixture_vision("images_bfloat16").vision_tower.patch_embedding.weight.type == StorageType::bfloat16);
}

TEST_CASE("vision: a trace of one image tells the reference's names and changes no number") {
  Recorder recorder;
  const Trace trace = recorder.trace();
  const Matrix features = encode_image(fixture_vision(), image_pixels(1), {}, &trace);
  CHECK(same_bits(features, fixture_image_features()[1]));
  CHECK(recorder.names.size() == 30);
  for (const auto& [reported, tensor] : recorder.tensors) {
    const std::string name = reported;
    CAPTURE(name);
    CHECK(difference(tensor, image_tensor(name, 1)) <= 1e-5);
  }
}

TEST_CASE("vision: progress goes over the tower's layers") {
  std::vector<Index> told;
  encode_image(fixture_vision("images_bfloat16"), image_pixels(0, "images_bfloat16"),
               [&](Index finished, Index layers) {
                 CHECK(layers == 3);
                 told.push_back(finished);
               });
  CHECK(told == range(0, 3));
}

TEST_CASE("vision: a NaN in a pixel or in any vision weight comes out as NaN") {
  CHECK(encode_image(fixture_vision(), with_nan(image_pixels(0), 2, 323)).hasNaN());
  const OwnedTensors tensors = stored_tensors();
  for (const auto& [stored, tensor] : tensors) {
    const std::string name = stored;
    if (!is_vision(name)) continue;
    CAPTURE(name);
    OwnedTensors changed = tensors;
    changed.at(name).floats()[0] = nan_value;
    const ScratchFolder folder;
    const Model model = model_of(folder, changed, stored_config());
    CHECK(encode_image(load_vision(model.config, *model.checkpoint), image_pixels(0)).hasNaN());
  }
}

TEST_CASE("vision: the same features for any number of threads") {
  RandomVision random(large, 16, 12);
  const Matrix pixels = random_matrix(3, 48 * 48, 1);
  CHECK(same_for_any_threads([&] { return encode_image(random.vision(), pixels); }));
  CHECK(same_for_any_threads([&] { return encode_image(fixture_vision(), image_pixels(0)); }));
}

// ---- images in a prompt ----

TEST_CASE("vision: H of a prompt with two images is the reference's") {
  for (const std::string name : {"images", "images_bfloat16"}) {
    const Matrix H =
        encode(fixture_model(name), reference_ids("inputs.input_ids", name), fixture_image_features(name));
    CHECK(difference(H, reference_tensor(encoder_path + "norm", name)) <= 5e-6);
  }
}

TEST_CASE("vision: image features go into the encoder as they are, anywhere in the prompt, in order") {
  const Model& model = fixture_model("images");
  const std::vector<Matrix> images = fixture_image_features();
  const Matrix features = stack(images);
  for (const Ids& ids :
       {Ids{63, 63, 63, 63, 2, 5, 63, 63, 63, 63}, Ids{2, 63, 5, 63, 6, 63, 63, 63, 63, 63, 7, 63},
        Ids{63, 63, 63, 63, 63, 63, 63, 63}, Ids{2, 5, 61, 63, 63, 63, 63, 62, 9, 63, 63, 63, 63}})
    CHECK(same_bits(encode(model, ids, images), encode_by_hand(model, ids, features)));
  const Ids ids{2, 63, 63, 63, 63, 5, 63, 63, 63, 63};
  const std::vector<Matrix> exchanged{images[1], images[0]};
  CHECK(difference(encode(model, ids, exchanged), encode(model, ids, images)) > 1e-3);
}

TEST_CASE("vision: an image's features serve several prompts and stay what they are") {
  const Model& model = fixture_model("images");
  const std::vector<Matrix> kept{fixture_image_features()[0]};
  const Matrix before = kept[0];
  for (const Ids& ids : {Ids{2, 61, 63, 63, 63, 63, 62, 5}, Ids{2, 7, 8, 61, 63, 63, 63, 63, 62}}) {
    const std::vector<Matrix> fresh{encode_image(fixture_vision(), image_pixels(0))};
    CHECK(same_bits(encode(model, ids, kept), encode(model, ids, fresh)));
  }
  CHECK(same_bits(kept[0], before));
}

TEST_CASE("vision: without images the image token is a token like any other") {
  const Model& model = fixture_model("images");
  const Ids ids{2, 63, 5};
  CHECK(same_bits(encode(model, ids, std::span<const Matrix>()), encode(model, ids)));
  CHECK(encode(model, ids).allFinite());
}

TEST_CASE("vision: images and image tokens that do not match are refused") {
  const Model& model = fixture_model("images");
  const std::vector<Matrix> images = fixture_image_features();
  const auto message = [&](const Ids& ids) { return error_of([&] { encode(model, ids, images); }); };
  CHECK(message({2, 63, 63, 63, 63}) == "prompt: image tokens: expected 8 for the images given, found 4");
  CHECK(message({2, 63, 63, 63, 63, 63, 63, 63, 63, 63}) ==
        "prompt: image tokens: expected 8 for the images given, found 9");
  CHECK(message({2, 5}) == "prompt: image tokens: expected 8 for the images given, found 0");
}

TEST_CASE("vision: compare refuses images of another size or number") {
  const ScratchFolder folder;
  const auto message = [&](const std::string& name, const OwnedTensor& tensor) {
    OwnedTensors tensors = copy_of(fixture_reference("images").tensors);
    tensors.at(name) = tensor;
    const auto path = folder.path() / "reference.safetensors";
    write_file(path, tensors);
    return error_of([&] { compare(fixture_model("images"), open_reference(path), 1e-5f); });
  };
  const std::string pixels = "inputs.pixel_values";
  contains(message(pixels, owned(Dtype::f32, {2, 3, 17, 18}, std::vector<float>(2 * 3 * 17 * 18))),
           "inputs.pixel_values: expected F32 [2, 3, 18, 18] (images, num_channels, image_size, image_size), "
           "found F32 [2, 3, 17, 18]");
  contains(message(pixels, owned(Dtype::f32, {}, std::vector<float>(1))), "inputs.pixel_values: expected");
  contains(message(pixels, owned(Dtype::f32, {1, 3, 18, 18}, std::vector<float>(3 * 18 * 18))),
           "prompt: image tokens: expected 4 for the images given, found 8");
  contains(message("inputs.input_ids", owned(Dtype::i64, {1, 2}, std::vector<std::int64_t>{2, 63})),
           "prompt: image tokens: expected 8 for the images given, found 1");
}

TEST_CASE("vision: an image of another size is refused") {
  CHECK_THROWS_WITH_AS(encode_image(fixture_vision(), Matrix(3, 17 * 18)),
                       "siglip pixels: expected [3, 324], found [3, 306]", std::invalid_argument);
}

TEST_CASE("vision: several runs are joined into tensors [runs, ...], in the order of the first run") {
  StackedTrace stacked;
  const Trace one = stacked.trace();
  const auto report = [&](const std::string& name, const std::vector<Index>& shape,
                          const std::vector<float>& values) { one.report(name, shape, values.data()); };
  report("late", {1, 1, 2}, {1, 2});
  report("early", {1, 2, 1, 1}, {3, 4});
  report("early", {1, 2, 1, 1}, {5, 6});
  report("late", {1, 1, 2}, {7, 8});
  report("once", {1, 1, 1}, {9});
  std::vector<std::string> names;
  std::vector<std::vector<Index>> shapes;
  std::vector<std::vector<float>> values;
  stacked.report_to(
      {.report = [&](const std::string& name, const std::vector<Index>& shape, const float* first) {
        Index size = 1;
        for (const Index extent : shape) size *= extent;
        names.push_back(name);
        shapes.push_back(shape);
        values.emplace_back(first, first + size);
      }});
  CHECK(names == std::vector<std::string>{"late", "early", "once"});
  CHECK(shapes == std::vector<std::vector<Index>>{{2, 1, 2}, {2, 2, 1, 1}, {1, 1, 1}});
  CHECK(values == std::vector<std::vector<float>>{{1, 2, 7, 8}, {3, 4, 5, 6}, {9}});
  CHECK(one.wants("anything"));
}

// ---- the text half does not depend on it ----

TEST_CASE("vision: text runs the same whatever the vision tensors are, and no note speaks of them") {
  const Ids ids{2, 5, 9, 62};
  for (const std::string name : {"images", "images_bfloat16"}) CHECK(fixture_model(name).notes.empty());
  const OwnedTensors tensors = stored_tensors();
  OwnedTensors none, broken;
  for (const auto& [name, tensor] : tensors) {
    if (!is_vision(name)) none[name] = tensor;
    broken[name] = is_vision(name) ? owned<std::int64_t>(Dtype::i64, {1, 1}, {7}) : tensor;
  }
  broken["model.encoder.vision_tower.head.probe"] = owned<float>(Dtype::f32, {1}, {nan_value});
  broken["model.encoder.multi_modal_projector.more"] = owned<float>(Dtype::f32, {1}, {nan_value});
  for (const OwnedTensors* changed : {&none, &broken}) {
    const ScratchFolder folder;
    const Model model = model_of(folder, *changed, stored_config());
    CHECK(model.notes.empty());
    CHECK(same_bits(encode(model, ids), encode(fixture_model("images"), ids)));
  }
}

TEST_CASE("vision: a head in the checkpoint is there and is not used") {
  const auto& stored = fixture_model("images_bfloat16").checkpoint->tensors();
  CHECK(stored.contains("model.encoder.vision_tower.head.probe"));
  const ScratchFolder folder;
  OwnedTensors tensors = stored_tensors("images_bfloat16");
  std::erase_if(tensors, [](const auto& entry) { return entry.first.find(".head.") != std::string::npos; });
  CHECK(tensors.size() == stored.size() - 11);
  const Model model = model_of(folder, tensors, stored_config("images_bfloat16"));
  CHECK(same_bits(
      encode_image(load_vision(model.config, *model.checkpoint), image_pixels(0, "images_bfloat16")),
      fixture_image_features("images_bfloat16")[0]));
}

// ---- what is not as it should be ----

TEST_CASE("vision: a checkpoint without vision tensors or without vision_config says that it has none") {
  OwnedTensors text = stored_tensors();
  std::erase_if(text, [](const auto& entry) { return is_vision(entry.first); });
  const std::string none =
      "FOLDER: an image was given, but this checkpoint has no vision encoder: it takes text only";
  CHECK(vision_error(text) == none);
  json config = stored_config();
  config["encoder"].erase("vision_config");
  CHECK(vision_error(stored_tensors(), config) == none);
  config["encoder"]["vision_config"] = nullptr;
  CHECK(vision_error(stored_tensors(), config) == none);
  const Model& basic = fixture_model("basic");  // its config.json has a vision_config
  contains(error_of([&] { load_vision(basic.config, *basic.checkpoint); }), "has no vision encoder");
}

TEST_CASE("vision: a missing image token id is named") {
  json config = stored_config();
  config.erase("image_token_index");
  CHECK(vision_error(stored_tensors(), config).empty());  // the encoder's is there
  config["encoder"].erase("image_token_index");
  CHECK(vision_error(stored_tensors(), config) ==
        "FOLDER/config.json: image_token_index: expected the id of image tokens, found nothing");
}

TEST_CASE("vision: sizes that do not divide each other are refused with the field") {
  CHECK(vision_error(stored_tensors()).empty());
  const std::string vision = "/encoder/vision_config/", at = "config.json: encoder.vision_config.";
  contains(error_with(vision + "patch_size", 4),
           at + "patch_size: expected a divisor of image_size 18, found 4");
  contains(error_with(vision + "patch_size", 19),
           at + "patch_size: expected a divisor of image_size 18, found 19");
  contains(error_with(vision + "num_attention_heads", 2),
           at + "num_attention_heads: expected a divisor of hidden_size 9, found 2");
  contains(error_with("/encoder/mm_tokens_per_image", 5),
           "config.json: encoder.mm_tokens_per_image: expected a square number, found 5");
  contains(
      error_with("/encoder/mm_tokens_per_image", 16),
      "config.json: encoder.mm_tokens_per_image: expected the square of a divisor of 6 patches per side, "
      "found 16");
  contains(error_with("/encoder/mm_tokens_per_image", 49),
           "encoder.mm_tokens_per_image: expected the square of");
  for (const int tokens : {1, 4, 9, 36}) CHECK(error_with("/encoder/mm_tokens_per_image", tokens).empty());
}

TEST_CASE("vision: sizes that the tensors do not have are refused with the tensor and the fields") {
  const std::string vision = "/encoder/vision_config/",
                    tower = "FOLDER/model.safetensors: model.encoder.vision_tower.";
  CHECK(error_with(vision + "image_size", 12) ==
        tower +
            "vision_model.embeddings.position_embedding.weight: expected F32 [16, 9] (encoder.vision_config: "
            "(image_size/patch_size)^2, hidden_size), found F32 [36, 9]");
  CHECK(error_with(vision + "patch_size", 9) ==
        tower +
            "vision_model.embeddings.patch_embedding.weight: expected F32 [9, 3, 9, 9] "
            "(encoder.vision_config: hidden_size, num_channels, patch_size, patch_size), found F32 [9, 3, 3, "
            "3]");
  CHECK(error_with(vision + "intermediate_size", 12) ==
        tower +
            "vision_model.encoder.layers.0.mlp.fc1.weight: expected F32 [12, 9] (encoder.vision_config: "
            "intermediate_size, hidden_size), found F32 [11, 9]");
  CHECK(error_with(vision + "num_hidden_layers", 3) ==
        "FOLDER: model.encoder.vision_tower.encoder.layers.2.layer_norm1.weight: expected a tensor [9] "
        "(encoder.vision_config: hidden_size), found none");
}

TEST_CASE("vision: each vision tensor that is missing, misshaped or not of real numbers is named") {
  const OwnedTensors tensors = stored_tensors();
  Index tried = 0;
  for (const auto& [stored, tensor] : tensors) {
    const std::string name = stored;
    if (!is_vision(name)) continue;
    CAPTURE(name);
    ++tried;
    OwnedTensors changed = tensors;
    changed.erase(name);
    const std::string missing = vision_error(changed);
    const bool first = name.ends_with("patch_embedding.weight");  // by which a vision half is known
    contains(missing, first ? "has no vision encoder" : canonical_name(name) + ": expected a tensor [");
    if (!first) contains(missing, "vision_config");

    changed = tensors;
    changed.at(name).shape.push_back(1);
    const std::string misshaped = vision_error(changed);
    contains(misshaped, "FOLDER/model.safetensors: " + name + ": expected F32 [");
    contains(misshaped, "vision_config");

    changed.at(name) = tensor;
    changed.at(name).dtype = Dtype::i32;
    contains(vision_error(changed), "FOLDER/model.safetensors: " + name + ": expected F32, F16 or BF16");
  }
  CHECK(tried == 39);
}

}  // namespace test_vision
