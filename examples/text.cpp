// Text in, text out, as it is made.
#include <exception>
#include <iostream>
#include <string_view>
#include <t5gemma2/t5gemma2.hpp>

int main() {
  try {
    const auto folder = t5gemma2::find_model("pocket");  // or a folder, or "google/t5gemma-2-270m-270m"
    const auto model = t5gemma2::load_model(folder);
    const auto tokenizer = t5gemma2::Tokenizer::load(folder);

    const auto ids = tokenizer.encode("in words: 39629");
    const auto H = t5gemma2::encode(model, ids);  // [tokens, d]

    t5gemma2::GenerateOptions options{.config = model.generation_config};
    options.config.max_new_tokens = 64;
    const auto made = t5gemma2::generate(model, tokenizer, H, t5gemma2::decoder_prompt(model, tokenizer),
                                         options, [](std::string_view piece) {
                                           std::cout << piece << std::flush;
                                           return true;  // false ends the text here
                                         });
    std::cout << '\n' << made.ids.size() << " ids\n";
  } catch (const std::exception& error) {  // one line: file, field, expected, found
    std::cerr << error.what() << '\n';
    return 1;
  }
}
