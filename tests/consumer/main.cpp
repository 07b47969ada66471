#include <exception>
#include <iostream>
#include <t5gemma2/t5gemma2.hpp>

int main() {
  try {
    const auto folder = t5gemma2::find_model("pocket");
    const auto model = t5gemma2::load_model(folder);
    const auto tokenizer = t5gemma2::Tokenizer::load(folder);
    const auto ids = tokenizer.encode("date: the 5th of march 2024");
    const auto H = t5gemma2::encode(model, ids);
    std::cout << t5gemma2::generate(model, tokenizer, H, ids).text << '\n';
  } catch (const std::exception& error) {  // one line: file, field, expected, found
    std::cerr << error.what() << '\n';
    return 1;
  }
}
