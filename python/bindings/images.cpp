// Images: files and arrays of pixels, and the modules of the vision half.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>

#include "arrays.hpp"
#include "bindings.hpp"
#include "calls.hpp"
#include "t5gemma2/image/image.hpp"
#include "t5gemma2/vision/vision.hpp"

namespace t5gemma2::python {

using nb::literals::operator""_a;

namespace {

/// Any strides; a view, not a conversion: numbers from 0 to 1 are no pixels.
Image image_in(nb::handle value, const std::string& name) {
  nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::device::cpu> pixels;
  const nb::object viewed = viewable(value);
  const bool fits = nb::ndarray_check(viewed) && nb::try_cast(viewed, pixels, false) && pixels.shape(2) == 3;
  if (!fits)
    throw nb::type_error(
        (name + ": expected a path, or uint8 [height, width, 3], found " + description_of(value)).c_str());
  Image image(static_cast<Index>(pixels.shape(1)), static_cast<Index>(pixels.shape(0)));
  std::uint8_t* to = image.rgb.data();
  for (std::size_t y = 0; y < pixels.shape(0); ++y)
    for (std::size_t x = 0; x < pixels.shape(1); ++x)
      for (std::size_t channel = 0; channel < 3; ++channel) *to++ = pixels(y, x, channel);
  check(image);
  return image;
}

}  // namespace

Image image_of(nb::handle value, const std::string& name) {
  if (nb::hasattr(value, "getbands"))  // Pillow's
    return image_in(nb::module_::import_("numpy").attr("asarray")(value.attr("convert")("RGB")), name);
  const bool path = nb::isinstance<nb::str>(value) || nb::hasattr(value, "__fspath__");
  if (!path) return image_in(value, name);
  const nb::object bytes =
      nb::module_::import_("os").attr("fsencode")(value);  // names of files need not be UTF-8
  const auto& text = nb::cast<nb::bytes>(bytes);
  const std::string file(text.c_str(), text.size());
  if (file.find('\0') != std::string::npos) throw Error(name + ": expected a path, found a zero byte");
  return load_image(file);
}

namespace {

BiasedLinear biased(const Weights& weights, const std::string& module) {
  return {weights.matrix(module), vector_of(weights[module + ".bias"])};
}

LayerNorm layer_norm_of(const Weights& weights, const std::string& module, float eps) {
  return {weights.vector(module), vector_of(weights[module + ".bias"]), eps};
}

nb::object siglip_layer_py(nb::handle x, nb::handle weights, Index num_attention_heads,
                           float layer_norm_eps) {
  const Array in = array_of(x, "x");
  const Matrix rows = sequence_of(in);
  const Weights all(weights), attn = all / "self_attn", mlp = all / "mlp";
  const SiglipLayer w{.layer_norm1 = layer_norm_of(all, "layer_norm1", layer_norm_eps),
                      .layer_norm2 = layer_norm_of(all, "layer_norm2", layer_norm_eps),
                      .q_proj = biased(attn, "q_proj"),
                      .k_proj = biased(attn, "k_proj"),
                      .v_proj = biased(attn, "v_proj"),
                      .out_proj = biased(attn, "out_proj"),
                      .fc1 = biased(mlp, "fc1"),
                      .fc2 = biased(mlp, "fc2")};
  check(w.layer_norm1, rows.cols(), "layer_norm1");
  check(w.layer_norm2, rows.cols(), "layer_norm2");
  return like(in, without_gil(all_threads, [&] {
                return siglip_layer(w, rows, {}, [&](const Matrix& X) {
                  return siglip_attention(w, X, num_attention_heads);
                });
              }));
}

nb::object image_tokens_py(nb::handle patches, nb::handle weights, Index mm_tokens_per_image,
                           float layer_norm_eps) {
  const Matrix x = sequence_of(array_of(patches, "patches"));
  const Weights all(weights);
  const MultiModalProjector w{.mm_soft_emb_norm = all.vector("mm_soft_emb_norm"),
                              .mm_input_projection_weight = weight_of(all["mm_input_projection_weight"]),
                              .eps = layer_norm_eps};
  Matrix features = without_gil(all_threads, [&] { return image_features(w, x, mm_tokens_per_image); });
  return to_numpy(std::move(features));
}

nb::object preprocess_image_py(nb::handle image, Index image_size) {
  check_argument(image_size > 0, "image_size", "1 or more", image_size);
  const Image pixels = image_of(image, "image");
  Matrix values = without_gil(all_threads, [&] { return pixel_values(pixels, image_size); });
  const Index channels = values.rows();
  return to_numpy(std::move(values), {channels, image_size, image_size});
}

}  // namespace

void bind_images(nb::module_& m) {
  m.def(
      "siglip_layer", siglip_layer_py,
      nb::sig("def siglip_layer(x: numpy.typing.ArrayLike, weights: collections.abc.Mapping[str, "
              "numpy.typing.ArrayLike], *, num_attention_heads: int, layer_norm_eps: float = 1e-06) "
              "-> numpy.typing.NDArray[numpy.float32]"),
      "x"_a.none(), "weights"_a.none(), nb::kw_only(), "num_attention_heads"_a, "layer_norm_eps"_a = 1e-6f,
      "A layer of the vision encoder. x [patches, hidden] -> [patches, hidden].\n\n"
      "weights: names of the checkpoint below layers.N, as self_attn.q_proj.weight, self_attn.q_proj.bias.\n"
      "Reference: SiglipEncoderLayer");
  m.def("image_tokens", image_tokens_py,
        nb::sig("def image_tokens(patches: numpy.typing.ArrayLike, weights: "
                "collections.abc.Mapping[str, numpy.typing.ArrayLike], *, mm_tokens_per_image: int = "
                "256, layer_norm_eps: float = 1e-06) -> numpy.typing.NDArray[numpy.float32]"),
        "patches"_a.none(), "weights"_a.none(), nb::kw_only(), "mm_tokens_per_image"_a = 256,
        "layer_norm_eps"_a = 1e-6f,
        "The embeddings of an image: patches [patches, hidden] -> [mm_tokens_per_image, d].\n\n"
        "weights: mm_soft_emb_norm.weight [hidden], mm_input_projection_weight [hidden, d].\n"
        "Reference: T5Gemma2MultiModalProjector");
  m.def(
      "preprocess_image", preprocess_image_py,
      nb::sig("def preprocess_image(image: str | os.PathLike | numpy.typing.ArrayLike, *, "
              "image_size: int = 896) -> numpy.typing.NDArray[numpy.float32]"),
      "image"_a.none(), nb::kw_only(), "image_size"_a = 896,
      "An image file, or uint8 [height, width, 3] -> pixel values [3, image_size, image_size] in [-1, 1].\n\n"
      "Reference: Gemma3ImageProcessor");
}

}  // namespace t5gemma2::python
