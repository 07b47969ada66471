// t5gemma2-preprocess: an image as the model sees it: as PNG, to look at, before values are scaled to -1 ..
// 1; as .npy, to compute with, after.
#include <filesystem>
#include <iostream>
#include <span>
#include <string>

#include "common_flags.hpp"
#include "files.hpp"
#include "programs.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"
#include "t5gemma2/image/image.hpp"
#include "t5gemma2/io/json_fields.hpp"
#include "t5gemma2/io/npy_writer.hpp"

namespace preprocess_program {

using namespace t5gemma2;

/// The side of the square that the model's vision tower takes.
Index image_size_of(const std::filesystem::path& folder) {
  const Config config = load_config(folder);
  if (!config.vision)
    fail_file((folder / "config.json").string(), "a model that sees images",
              "no vision_config: text only; --image-size N needs no model");
  return config.vision->image_size;
}

/// The file name extension in lower case, "." included.
std::string extension_of(const std::filesystem::path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

void check_extension(const std::string& file) {
  const std::string extension = extension_of(file);
  if (extension != ".png" && extension != ".npy")
    throw cli::UsageError("-o: expected a .png or .npy file, found " + in_quotes(file));
}

void write(const std::string& file, const Image& image, Index size) {
  if (extension_of(file) == ".png") return write_png(file, resize(image, size, size));
  const Matrix pixels = pixel_values(image, size);
  write_npy(file, {1, 3, size, size}, std::span(pixels.data(), static_cast<std::size_t>(pixels.size())));
}

}  // namespace preprocess_program

int programs::preprocess(int argc, char** argv) {
  using namespace preprocess_program;
  cli::App app("t5gemma2-preprocess", "IMAGE -o FILE [FLAGS]",
               "Writes an image as the model sees it: upright, on white, square.");
  cli::ModelName model;
  std::string image, out;
  Index size = 0;
  bool quiet = false;
  app.group("Input");
  app.add_option("IMAGE", image, "JPEG, PNG, BMP, GIF, PNM or TGA")->required();
  cli::Option* flag = cli::add_model(app, model);
  app.add_option("--image-size", size, "side in pixels, in place of the model's")
      ->check(cli::integer_in(1, 16384))
      ->excludes(flag);
  app.group("Output");
  app.add_option("-o,--output", out,
                 "the file to write: .png, or .npy with float32 [1, 3, size, size] from -1 to 1")
      ->value("FILE")
      ->required();
  cli::add_quiet(app, quiet);
  app.examples({"t5gemma2-preprocess examples/inputs/shapes.png -o build/seen.png",
                "t5gemma2-preprocess -m pocket examples/inputs/shapes.png -o build/x.png"});
  return app.run(argc, argv, [&] {
    check_extension(out);
    cli::check_writable(out);
    if (size == 0) size = image_size_of(cli::model_folder(model, quiet));
    write(out, load_image(image), size);
    if (!quiet) std::cerr << size << " x " << size << " pixels written to " << out << '\n';
    return cli::ok;
  });
}
