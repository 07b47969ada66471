// The five lines of t5gemma2/t5gemma2.hpp's opening comment: consumer MODEL
#include <iostream>
#include <t5gemma2/t5gemma2.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto folder = t5gemma2::find_model(argv[1]);
  const auto model = t5gemma2::load_model(folder);
  const auto tokenizer = t5gemma2::Tokenizer::load(folder);
  const auto H = t5gemma2::encode(model, tokenizer.encode("The capital of France is"));
  std::cout << t5gemma2::generate(model, tokenizer, H).text;
}
