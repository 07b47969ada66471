// A question about an image.  Usage: example-image IMAGE QUESTION
#include <exception>
#include <iostream>
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
    const auto vision = t5gemma2::load_vision(model.config, *model.checkpoint);

    const std::vector<t5gemma2::Image> images{t5gemma2::load_image(argv[1])};
    const auto features = t5gemma2::encode_images(vision, images);
    const auto ids = t5gemma2::encode_prompt(tokenizer, model.config, argv[2], features.crops);
    const auto H = t5gemma2::encode(model, ids, features.tokens);
    std::cout << t5gemma2::generate(model, tokenizer, H, ids).text << '\n';
  } catch (const std::exception& error) {  // one line: file, field, expected, found
    std::cerr << error.what() << '\n';
    return 1;
  }
}
