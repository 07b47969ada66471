// t5gemma2-preprocess: an image as the model sees it, before the scaling to -1 .. 1.
#include <filesystem>
#include <string>

#include "model_flag.hpp"
#include "programs.hpp"
#include "t5gemma2/config_json.hpp"
#include "t5gemma2/image.hpp"

namespace preprocess_program {

using namespace t5gemma2;

/// The side of the square that the model's vision tower takes.
Index image_size_of(const std::filesystem::path& folder) {
  const Config config = load_config(folder);
  if (!config.vision)
    fail_file((folder / "config.json").string(), "a model that sees images", "no vision_config: text only");
  return config.vision->image_size;
}

}  // namespace preprocess_program

int programs::preprocess(int argc, char** argv) {
  using namespace preprocess_program;
  cli::App app("Writes an image as the model sees it: upright, on white, square.", "t5gemma2-preprocess");
  cli::ModelName model;
  std::string image, out;
  Index size = 0;
  bool quiet = false;
  app.add_option("IMAGE", image, "JPEG, PNG, BMP, GIF, PNM or TGA")->required();
  cli::Option* flag = cli::add_model(app, model);
  app.add_option("--image-size", size, "side in pixels, in place of the model's")
      ->check(cli::integer_in(1, 16384))
      ->excludes(flag);
  app.add_option("-o,--output", out, "the PNG file to write")->required();
  cli::add_quiet(app, quiet);
  return app.run(argc, argv, [&] {
    if (size == 0) size = image_size_of(cli::model_folder(model, quiet));
    write_png(out, resize(load_image(image), size, size));
    return cli::ok;
  });
}
