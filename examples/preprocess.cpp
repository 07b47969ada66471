// t5gemma2-preprocess: an image as the model sees it, before the scaling to -1 .. 1.
#include <string>

#include "cli.hpp"
#include "programs.hpp"
#include "t5gemma2/config_json.hpp"
#include "t5gemma2/hub.hpp"
#include "t5gemma2/image.hpp"

namespace preprocess_program {

using namespace t5gemma2;

/// The side of the square that the model's vision tower takes.
Index image_size_of(const std::string& model_name) {
  const auto folder = find_model(model_name);
  const Config config = load_config(folder);
  if (!config.vision)
    fail_file((folder / "config.json").string(), "a model that sees images", "no vision_config: text only");
  return config.vision->image_size;
}

}  // namespace preprocess_program

int programs::preprocess(int argc, char** argv) {
  using namespace preprocess_program;
  cli::App app("Writes an image as the model sees it: upright, on white, square.", "t5gemma2-preprocess");
  std::string image, model_name, out;
  Index size = 0;
  app.add_option("IMAGE", image, "JPEG, PNG, BMP, GIF, PNM or TGA")->required();
  auto* model = app.add_option("-m,--model", model_name, "folder or hub id; its config.json gives the size");
  app.add_option("--image-size", size, "side in pixels, in place of -m")
      ->check(cli::integer_in(1, 16384))
      ->excludes(model);
  app.add_option("-o,--output", out, "the PNG file to write")->required();
  return app.run(argc, argv, [&] {
    if (app.count("--model") + app.count("--image-size") == 0)
      throw cli::UsageError("-m or --image-size is required");
    if (app.count("--model") > 0) size = image_size_of(model_name);
    write_png(out, resize(load_image(image), size, size));
    return cli::ok;
  });
}
