// A question about an image.  Usage: example-image IMAGE QUESTION
#include <exception>
#include <iostream>
#include <string>
#include <t5gemma2/t5gemma2.hpp>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: example-image IMAGE QUESTION\n";
    return 2;
  }
  try {
    const auto folder = t5gemma2::find_model("pocket");
    const auto model = t5gemma2::load_model(folder);
    const auto tokenizer = t5gemma2::Tokenizer::load(folder);
    const auto vision = t5gemma2::load_vision(model);

    const auto images = t5gemma2::load_images(std::vector<std::string>{argv[1]});
    const auto ids = t5gemma2::encode_prompt(tokenizer, model.config, argv[2], images);
    const auto features = t5gemma2::get_image_features(vision, images);
    const auto H = t5gemma2::encode(model, ids, features);
    std::cout << t5gemma2::generate(model, tokenizer, H, ids).text << '\n';
  } catch (const std::exception& error) {  // one line: file, field, expected, found
    std::cerr << error.what() << '\n';
    return 1;
  }
}
