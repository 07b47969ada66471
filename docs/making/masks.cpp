// What the masks of mask.hpp show, asked key by key:
//
//   masks W M N w ...
//
// prints, a line per query, the masks of a window of W tokens, over M decoder and N encoder tokens (x is
// visible), and for each further window w how many tokens one in the middle of a long text sees before and
// after itself: in the encoder; in the decoder, where it also sees so many of so many encoder tokens.
#include <cstdlib>
#include <iostream>

#include "t5gemma2/mask.hpp"

using namespace t5gemma2;

/// Prints the mask over [queries, keys], each line after the name.
template <class Mask>
void print_rows(const char* name, const Mask& mask, Index queries, Index keys) {
  for (Index query = 0; query < queries; ++query) {
    std::cout << name << ' ';
    for (Index key = 0; key < keys; ++key) std::cout << (mask(query, key) ? 'x' : '.');
    std::cout << '\n';
  }
}

/// How many keys of [first, last) the query sees.
template <class Mask>
Index seen(const Mask& mask, Index query, Index first, Index last) {
  Index count = 0;
  for (Index key = first; key < last; ++key) count += mask(query, key) ? 1 : 0;
  return count;
}

/// Prints what the middle one of 4w + 1 tokens sees, given as many encoder tokens.
void print_counts(Index w) {
  const Index all = 4 * w + 1, middle = 2 * w;
  const EncoderMask encoder{w};
  const MergedMask merged{w, all};
  std::cout << w << ' ' << seen(encoder, middle, 0, middle) << ' ' << seen(encoder, middle, middle + 1, all)
            << ' ' << seen(merged, middle, 0, middle) << ' ' << seen(merged, middle, middle + 1, all) << ' '
            << seen(merged, middle, all, 2 * all) << ' ' << all << '\n';
}

int main(int argc, char** argv) {
  if (argc < 4) return EXIT_FAILURE;
  const Index w = std::atoi(argv[1]), m = std::atoi(argv[2]), n = std::atoi(argv[3]);
  print_rows("encoder_local", EncoderMask{w}, n, n);
  print_rows("encoder_global", EncoderMask{}, n, n);
  print_rows("merged_local", MergedMask{w, m}, m, m + n);
  print_rows("merged_global", MergedMask{no_window, m}, m, m + n);
  for (int i = 4; i < argc; ++i) print_counts(std::atoi(argv[i]));
}
