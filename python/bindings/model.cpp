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

LoadedModel::LoadedModel(const std::string& folder, const std::string& dtype, int threads,
                         const std::vector<std::pair<std::string, float>>& adapters)
    : folder_(folder), threads_(threads) {
  check_argument(threads >= 0 && threads <= 1024, "threads", "1 to 1024", threads);
  precision_ = precision_named(dtype);
  how_ = load_sentence_transformer(folder_);
  model_ = load_model(how_.model);
  for (const auto& [name, scale] : adapters)
    apply_adapter(model_, std::make_shared<const Adapter>(load_adapter(find_model(name), scale)));
  std::filesystem::path of_tokenizer = how_.model;
  for (const auto& adapter : model_.adapters)
    if (is_there(adapter->folder / "tokenizer.json") || is_there(adapter->folder / "tokenizer.model"))
      of_tokenizer = adapter->folder;
  tokenizer_ = Tokenizer::load_if_there(of_tokenizer);
  if (precision_ != Precision::float32) call([&] { return set_precision(model_, precision_), 0; });
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
  if (precision_ != Precision::float32)
    call([&] { return set_precision(loaded, *model_.checkpoint, precision_), 0; });
  if (!vision_) vision_ = std::move(loaded);  // another thread may have been faster
  return *vision_;
}

Source LoadedModel::source_of(nb::handle prompt, const nb::list& images, const Trace* trace) {
  std::vector<PromptImage> read;
  for (const nb::handle image : images) read.push_back({image_of(image, "images"), {}});
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
  Matrix H = encode_source(source_of(prompt, images), nullptr);
  const std::vector<Index> shape{H.rows(), H.cols()};
  return to_numpy(std::move(H), shape);
}

nb::object LoadedModel::decode_py(nb::handle H, nb::handle ids) {
  const Matrix h = sequence_of(array_of(H, "H"));
  const std::vector<TokenId> m = decoder_ids(ids);
  check_memory(model_.config, h.rows(), std::ssize(m));
  Matrix logits = call([&] { return forward(model_, m, h); });
  const std::vector<Index> shape{logits.rows(), logits.cols()};
  return to_numpy(std::move(logits), shape);
}

std::string LoadedModel::generate_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                                     const std::string& settings, bool sample, std::uint64_t seed,
                                     nb::handle stream) {
  GenerateOptions options{
      .config = parse_generation_config(settings, "generate", model_.config), .sample = sample, .seed = seed};
  options.config.source = "generate";
  const Source source = source_of(prompt, images);
  options.encoder_input_ids = source.ids;
  const std::vector<TokenId> begin = decoder_ids(decoder_prompt);
  check_memory(model_.config, std::ssize(source.ids), length_limits(options.config, std::ssize(begin)).most);
  const Matrix H = encode_source(source, nullptr);
  const OnText on_text = [&](std::string_view piece) {
    if (stream.is_none() || piece.empty()) return true;
    const WithGil gil;
    const nb::object more = stream(nb::bytes(piece.data(), piece.size()));
    return !more.is(nb::handle(Py_False));
  };
  return call([&] {
    return tokenizer_ ? generate_several(model_, *tokenizer_, H, begin, options, on_text).at(0).text
                      : generate_several(model_, H, begin, options, on_text).at(0).text;
  });
}

nb::list LoadedModel::embed_py(const nb::list& texts, const std::optional<std::string>& pooling,
                               const std::optional<std::string>& prompt_name, std::optional<Index> layer,
                               std::optional<Index> dimensions, bool normalize) {
  EmbedOptions options = how_.options;
  if (pooling || layer) options = {};
  if (pooling) {
    const auto named = std::ranges::find(pooling_names, *pooling);
    check_argument(named != pooling_names.end(), "pooling", "mean, cls, last or none", *pooling);
    options.pooling = static_cast<Pooling>(named - pooling_names.begin());
  }
  options.layer = layer;
  options.dimensions = dimensions;
  options.normalize = normalize || dimensions.has_value();
  if (texts.size() == 0) return nb::list();
  const std::string front = how_.prompt(prompt_name);
  const std::function<void()> check_stop = signal_check();
  std::vector<EmbedInput> inputs;
  for (const nb::handle text : texts) {
    check_stop();
    inputs.push_back(nb::isinstance<nb::str>(text)
                         ? embed_input(how_, tokenizer(), front, utf8_of(text, "texts"))
                         : EmbedInput{.ids = ids_of(text, "texts"), .features = {}});
  }
  nb::list embeddings;
  for (Matrix& one : call([&] { return embed(model_, inputs, options); })) {
    const std::vector<Index> shape{one.rows(), one.cols()};
    embeddings.append(to_numpy(std::move(one), shape));
  }
  return embeddings;
}

nb::list LoadedModel::score_py(nb::handle prompt, const nb::list& images, const nb::list& targets,
                               nb::handle decoder_prompt, bool eos) {
  const Source source = source_of(prompt, images);
  const std::vector<TokenId> begin = decoder_ids(decoder_prompt);
  const Matrix H = encode_source(source, nullptr);
  const std::function<void()> check_stop = signal_check();
  const TargetStart start = call([&] { return start_target(model_.decoder, H, begin); });
  nb::list scores;
  for (const nb::handle target : targets) {
    check_stop();
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
    const std::vector<TokenScore> tokens = call([&] { return score(model_.decoder, start, ids, 0); });
    nb::list logprobs;
    for (const TokenScore& token : tokens) logprobs.append(token.token.logprob);
    const TargetScore whole = score_of(tokens);
    nb::dict one;
    one["ids"] = nb::cast(ids);
    one["logprobs"] = logprobs;
    one["sum"] = whole.sum;
    one["mean"] = whole.mean;
    one["perplexity"] = whole.perplexity;
    scores.append(one);
  }
  return scores;
}

nb::dict LoadedModel::trace_py(nb::handle prompt, const nb::list& images, nb::handle decoder_prompt,
                               const std::function<bool(const std::string&)>& wanted) {
  nb::dict tensors;
  const auto wants = [&](const std::string& name) {
    const WithGil gil;
    return wanted(name);
  };
  const Trace trace{.report =
                        [&](const std::string& name, const std::vector<Index>& shape, const float* values) {
                          const WithGil gil;
                          if (!wanted(name)) return;
                          Index size = 1;
                          for (const Index extent : shape) size *= extent;
                          tensors[name.c_str()] = to_numpy(Eigen::Map<const Matrix>(values, 1, size), shape);
                        },
                    .wants = wants};
  const std::vector<TokenId> ids = decoder_ids(decoder_prompt);
  const Source source = source_of(prompt, images, &trace);
  const Matrix H = encode_source(source, &trace);
  check_trace_memory(model_.config, std::ssize(source.ids), std::ssize(ids));
  call([&] { return forward(model_, ids, H, {}, &trace); });
  return tensors;
}

nb::object LoadedModel::weight_py(const std::string& name) const {
  const StoredTensors& tensors = model_.checkpoint->tensors();
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw nb::key_error(name.c_str());
  const StoredTensor& tensor = found->second;
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
  std::vector<PromptImage> read;
  for (const nb::handle image : images) read.push_back({image_of(image, "images"), {}});
  return encode_prompt(tokenizer(), model_.config, utf8_of(text, "text"), read);
}

void bind_model(nb::module_& m) {
  nb::class_<LoadedModel>(m, "LoadedModel")
      .def(nb::init<const std::string&, const std::string&, int,
                    const std::vector<std::pair<std::string, float>>&>(),
           "folder"_a, "dtype"_a, "threads"_a, "adapters"_a)
      .def_prop_ro("folder", [](const LoadedModel& self) { return self.how().model.string(); })
      .def_prop_ro("hidden_size",
                   [](const LoadedModel& self) { return self.model().config.encoder.hidden_size; })
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
    return std::vector<std::string>(asked.begin(), asked.end());
  });
  m.def(
      "find_model", [](const std::string& name) { return find_model(name).string(); }, "name"_a);
}

}  // namespace t5gemma2::python
