// A loaded model: what the programs do, on strings, ids and arrays. python/src/t5gemma2/_model.py is its face.
#include <algorithm>
#include <memory>

#include "loaded_model.hpp"
#include "t5gemma2/analysis/memory.hpp"
#include "t5gemma2/checkpoint/hub.hpp"
#include "t5gemma2/generate.hpp"
#include "t5gemma2/score.hpp"

namespace t5gemma2::python {

using nb::literals::operator""_a;

LoadedModel::LoadedModel(std::filesystem::path folder, const std::string& dtype, int threads,
                         const std::vector<std::pair<std::filesystem::path, float>>& adapters)
    : folder_(std::move(folder)), threads_(threads), precision_(precision_named(dtype)) {
  call([&] { load(adapters); });
}

void LoadedModel::load(const std::vector<std::pair<std::filesystem::path, float>>& adapters) {
  how_ = load_sentence_transformer(folder_);
  model_ = load_model(how_.model);
  for (const auto& [name, scale] : adapters)
    apply_adapter(model_, std::make_shared<const Adapter>(load_adapter(find_model(name), scale)));
  tokenizer_ = Tokenizer::load_if_there(tokenizer_folder(how_.model, model_));
  if (precision_ != Precision::float32) set_precision(model_, precision_);
  read_known_settings();
}

void LoadedModel::read_known_settings() {
  const std::filesystem::path file = how_.model / "generation_config.json";
  if (is_there(file)) {
    known_settings_ = parse_json(read_text(file, "a JSON file"), file.string());
    return;
  }
  const ConfigFile config = open_config(how_.model);
  const nlohmann::json& root = config.json;
  known_settings_ = root.value("decoder", nlohmann::json::object());
  known_settings_.update(root);
}

const Tokenizer& LoadedModel::tokenizer() const {
  if (!tokenizer_)
    throw Error(folder_.string() +
                ": expected tokenizer.json or tokenizer.model for texts, found neither; give ids");
  return *tokenizer_;
}

const Vision& LoadedModel::vision() {
  if (vision_) return *vision_;
  Vision loaded = load_vision(model_);
  if (precision_ != Precision::float32) call([&] { set_precision(loaded, *model_.checkpoint, precision_); });
  if (!vision_) vision_ = std::move(loaded);  // another thread may have been faster
  return *vision_;
}

namespace {

std::vector<PromptImage> prompt_images_of(const nb::list& images) {
  std::vector<PromptImage> read;
  for (const nb::handle image : images) read.push_back({image_of(image, "images"), {}});
  return read;
}

}  // namespace

Source LoadedModel::source_of(nb::handle prompt, const nb::list& images, const Trace* trace) {
  const std::vector<PromptImage> read = prompt_images_of(images);
  Source source;
  if (nb::isinstance<nb::str>(prompt))
    source.ids = encode_prompt(tokenizer(), model_.config, utf8_of(prompt, "prompt"), read);
  else
    source.ids = ids_of(prompt, "prompt");
  check_ids(source.ids, model_.config.encoder.vocab_size);
  check_image_tokens(source.ids, model_.config, read);
  if (read.empty()) return source;
  const Vision& eyes = vision();
  source.features = call([&] { return get_image_features(eyes, read, {}, trace); });
  return source;
}

Matrix LoadedModel::encode_source(const Source& source, const Trace* trace) {
  check_encoder_memory(model_.config, std::ssize(source.ids));
  return call([&] { return encode(model_, source.ids, source.features, {}, trace); });
}

std::vector<TokenId> LoadedModel::decoder_ids(nb::handle prompt) const {
  if (prompt.is_none()) {
    if (const auto start = decoder_start(model_)) return {*start};
    return {tokenizer().bos_id()};
  }
  if (nb::isinstance<nb::str>(prompt))
    return decoder_prompt(model_, tokenizer(), utf8_of(prompt, "decoder_prompt"));
  std::vector<TokenId> ids = ids_of(prompt, "decoder_prompt");
  check_argument(!ids.empty(), "decoder_prompt", "an id or more", "none");
  check_ids(ids, model_.config.decoder.vocab_size, "decoder prompt");
  return ids;
}

nb::object LoadedModel::encode_py(nb::handle prompt, const nb::list& images) {
  return to_numpy(encode_source(source_of(prompt, images), nullptr));
}

nb::object LoadedModel::decode_py(nb::handle H, nb::handle ids) {
  const Matrix h = sequence_of(array_of(H, "H"));
  const std::vector<TokenId> m = decoder_ids(ids);
  check_memory(model_.config, h.rows(), std::ssize(m));
  return to_numpy(call([&] { return forward(model_, m, h); }));
}

// ---- generate ----

/// The checkpoint's settings with those of a JSON object in place of its own. The start of the decoder is a prompt, and a call
/// makes one text, so the settings for these do not count.
GenerateOptions LoadedModel::generate_options(const std::string& settings, bool sample,
                                              std::uint64_t seed) const {
  const nlohmann::json given = parse_json(settings, "generate");
  nlohmann::json all = known_settings_;
  if (given.contains("max_length")) all.erase("max_new_tokens");
  all.update(given);
  all.erase("num_return_sequences");
  GenerateOptions options{.config = parse_generation_config(all.dump(), "generate", model_.config),
                          .sample = sample,
                          .seed = seed};
  check(options, model_.config.decoder.vocab_size);
  return options;
}

std::string LoadedModel::generate_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                                     const std::string& settings, bool sample, std::uint64_t seed,
                                     nb::handle stream) {
  GenerateOptions options = generate_options(settings, sample, seed);
  const std::vector<TokenId> begin = decoder_ids(decoder_prompt);
  const Source source = source_of(prompt, images);
  options.encoder_input_ids = source.ids;
  check_memory(model_.config, std::ssize(source.ids),
               likely_length(model_, options.config, std::ssize(begin)), available_memory(),
               options.config.num_beams);
  const Matrix H = encode_source(source, nullptr);
  const OnText on_text = [&](std::string_view piece) {
    if (stream.is_none() || piece.empty()) return true;
    const WithGil gil;
    const nb::object more = stream(nb::str(piece.data(), piece.size()));
    return !more.is(nb::handle(Py_False));
  };
  return call([&] {
    const Tokenizer* const tokenizer = tokenizer_ ? &*tokenizer_ : nullptr;
    return generate_several(model_, tokenizer, H, begin, options, on_text).at(0).text;
  });
}

// ---- embed ----

EmbedInput LoadedModel::embed_input_of(nb::handle text, const std::string& front) const {
  EmbedInput input = nb::isinstance<nb::str>(text)
                         ? embed_input(how_, tokenizer(), front, utf8_of(text, "texts"))
                         : EmbedInput{.ids = ids_of(text, "texts"), .features = {}};
  check_ids(input.ids, model_.config.encoder.vocab_size);
  check_image_tokens(input.ids, model_.config, {});
  check_encoder_memory(model_.config, std::ssize(input.ids));
  return input;
}

/// [texts, width], or without pooling a list of [n, width].
nb::object LoadedModel::embed_py(const nb::list& texts, const std::optional<std::string>& pooling,
                                 const std::optional<std::string>& prompt_name, std::optional<Index> layer,
                                 std::optional<Index> dimensions, bool normalize) {
  const Index layers = model_.config.encoder.num_hidden_layers;
  const std::string expected = "0 to " + std::to_string(layers);
  if (layer) check_argument(*layer >= 0 && *layer <= layers, "layer", expected.c_str(), *layer);
  const EmbedOptions options = with_asked(how_.options, pooling, layer, dimensions, normalize);
  const Index width = width_of(options, model_.config.encoder.hidden_size);
  const std::string front = how_.prompt(prompt_name);
  const std::function<void()> check_stop = signal_check();
  std::vector<EmbedInput> inputs;
  for (const nb::handle text : texts) {
    check_stop();
    inputs.push_back(embed_input_of(text, front));
  }
  std::vector<Matrix> embeddings = call([&] { return embed(model_, inputs, options); });
  if (options.pooling == Pooling::none) {
    nb::list all;
    for (Matrix& one : embeddings) all.append(to_numpy(std::move(one)));
    return all;
  }
  Matrix all(std::ssize(embeddings), width);
  for (Index i = 0; i < all.rows(); ++i) all.row(i) = embeddings[static_cast<std::size_t>(i)];
  return to_numpy(std::move(all));
}

// ---- score ----

std::vector<TokenId> LoadedModel::target_ids(nb::handle target, bool eos) const {
  std::vector<TokenId> ids;
  if (nb::isinstance<nb::str>(target)) {
    const std::vector<TokenId> all = tokenizer().encode_start(utf8_of(target, "targets"));
    ids.assign(all.begin() + 1, all.end());
  } else {
    ids = ids_of(target, "targets");
  }
  if (eos) ids.push_back(static_cast<TokenId>(model_.config.eos_token_id.at(0)));
  check_argument(!ids.empty(), "targets", "a token or more", "none");
  check_ids(ids, model_.config.decoder.vocab_size, "target");
  return ids;
}

namespace {

nb::dict score_dict(const std::vector<TokenId>& ids, const std::vector<TokenScore>& tokens) {
  nb::list logprobs;
  for (const TokenScore& token : tokens) logprobs.append(token.token.logprob);
  const TargetScore whole = score_of(tokens);
  nb::dict score;
  score["ids"] = nb::cast(ids);
  score["logprobs"] = logprobs;
  score["sum"] = whole.sum;
  score["mean"] = whole.mean;
  score["perplexity"] = whole.perplexity;
  return score;
}

}  // namespace

nb::list LoadedModel::score_py(nb::handle prompt, const nb::list& images, const nb::list& targets,
                               nb::handle decoder_prompt, bool eos) {
  const std::function<void()> check_stop = signal_check();
  std::vector<std::vector<TokenId>> all;
  Index longest = 0;
  for (const nb::handle target : targets) {
    check_stop();
    all.push_back(target_ids(target, eos));
    longest = std::max(longest, std::ssize(all.back()));
  }
  const std::vector<TokenId> begin = decoder_ids(decoder_prompt);
  const Source source = source_of(prompt, images);
  check_memory(model_.config, std::ssize(source.ids), std::ssize(begin) + longest);
  const Matrix H = encode_source(source, nullptr);
  const TargetStart start = call([&] { return start_target(model_.decoder, H, begin); });
  nb::list scores;
  for (const std::vector<TokenId>& ids : all) {
    check_stop();
    scores.append(score_dict(ids, call([&] { return score(model_.decoder, start, ids, 0); })));
  }
  return scores;
}

// ---- trace, weights ----

nb::dict LoadedModel::trace_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                               const std::function<bool(const std::string&)>& wanted) {
  nb::dict tensors;
  const auto wants = [&](const std::string& name) {
    const WithGil gil;
    return wanted(name);
  };
  const Trace trace{.report =
                        [&](const std::string& name, const std::vector<Index>& shape, const float* values) {
                          StopCheck::run();
                          const WithGil gil;
                          if (!wanted(name)) return;
                          Index size = 1;
                          for (const Index extent : shape) size *= extent;
                          tensors[name.c_str()] = to_numpy(Eigen::Map<const Matrix>(values, 1, size), shape);
                        },
                    .wants = wants};
  const std::vector<TokenId> ids = decoder_ids(decoder_prompt);
  const Source source = source_of(prompt, images, &trace);
  check_trace_memory(model_.config, std::ssize(source.ids), std::ssize(ids));
  const Matrix H = encode_source(source, &trace);
  call([&] { return forward(model_, ids, H, {}, &trace); });
  return tensors;
}

nb::object LoadedModel::weight_py(const std::string& name) const {
  const StoredTensor& tensor = model_.checkpoint->tensors().at(name);
  const auto type = storage_type(tensor);
  std::vector<std::size_t> shape(tensor.shape.begin(), tensor.shape.end());
  const auto view = [&](auto number) {
    using Number = decltype(number);
    const nb::object self = nb::find(this);  // the mapped file lives as long as the array
    return nb::cast(nb::ndarray<nb::numpy, const Number>(reinterpret_cast<const Number*>(tensor.data),
                                                         shape.size(), shape.data(), self));
  };
  if (type == StorageType::float32) return view(float{});
  const nb::object halves = view(std::uint16_t{});
  const bool bfloat16 = type == StorageType::bfloat16;
  const nb::object dtype = bfloat16 ? nb::object(nb::module_::import_("ml_dtypes").attr("bfloat16"))
                                    : nb::object(nb::str("float16"));
  return halves.attr("view")(dtype);
}

std::vector<std::string> LoadedModel::weight_names() const {
  std::vector<std::string> names;
  for (const auto& entry : model_.checkpoint->tensors()) names.push_back(entry.first);
  return names;
}

std::string LoadedModel::detokenize(nb::handle ids, bool show_special) const {
  const std::vector<TokenId> list = ids_of(ids, "ids");
  check_ids(list, model_.config.encoder.vocab_size, "ids");
  return tokenizer().decode(list, show_special);
}

std::vector<TokenId> LoadedModel::tokenize(nb::handle text, const nb::list& images) const {
  return encode_prompt(tokenizer(), model_.config, utf8_of(text, "text"), prompt_images_of(images));
}

namespace {

/// A name in the Hugging Face cache need not be a path.
std::filesystem::path find_model_py(const std::filesystem::path& name) { return find_model(name.string()); }

}  // namespace

void bind_model(nb::module_& m) {
  nb::class_<LoadedModel>(m, "LoadedModel")
      .def(nb::init<std::filesystem::path, const std::string&, int,
                    const std::vector<std::pair<std::filesystem::path, float>>&>(),
           "folder"_a, "dtype"_a, "threads"_a, "adapters"_a)
      .def_prop_ro("notes", [](const LoadedModel& self) { return self.model().notes; })
      .def("tokenize", &LoadedModel::tokenize, "text"_a.none(), "images"_a)
      .def("detokenize", &LoadedModel::detokenize, "ids"_a.none(), "show_special"_a)
      .def("encode", &LoadedModel::encode_py, "prompt"_a.none(), "images"_a)
      .def("decode", &LoadedModel::decode_py, "H"_a.none(), "ids"_a.none())
      .def("generate", &LoadedModel::generate_py, "prompt"_a.none(), "images"_a, "decoder_prompt"_a.none(),
           "settings"_a, "sample"_a, "seed"_a, "stream"_a.none())
      .def("embed", &LoadedModel::embed_py, "texts"_a, "pooling"_a.none(), "prompt_name"_a.none(),
           "layer"_a.none(), "dimensions"_a.none(), "normalize"_a)
      .def("score", &LoadedModel::score_py, "prompt"_a.none(), "images"_a, "targets"_a,
           "decoder_prompt"_a.none(), "eos"_a)
      .def("trace", &LoadedModel::trace_py, "prompt"_a.none(), "images"_a, "decoder_prompt"_a.none(),
           "wanted"_a)
      .def("weight", &LoadedModel::weight_py, "name"_a)
      .def("weight_names", &LoadedModel::weight_names);
  m.def("setting_names", [] {
    const nlohmann::json none = nlohmann::json::object();
    generation_config_detail::Names asked;
    generation_config_detail::read_all({JsonField(none, ""), JsonField::missing(), asked});
    for (const char* beside : {"num_return_sequences", "decoder_start_token_id", "do_sample"})
      asked.erase(beside);
    return std::vector<std::string>(asked.begin(), asked.end());
  });
  m.def("find_model", find_model_py, "name"_a);
}

}  // namespace t5gemma2::python
