// White space at the ends of a text.
#include "t5gemma2/tokenizer/white_space.hpp"

#include <doctest/doctest.h>

namespace test_white_space {

using namespace t5gemma2;

TEST_CASE("white space: bytes of it at each end of a text") {
  CHECK(white_space_at_start("") == 0);
  CHECK(white_space_at_end("") == 0);
  CHECK(white_space_at_start("a b") == 0);
  CHECK(white_space_at_end("a b") == 0);
  CHECK(white_space_at_start(" \n\u3000a \t") == 5);
  CHECK(white_space_at_end(" \n\u3000a \t") == 2);
  CHECK(white_space_at_start(" \u2028 ") == 5);
  CHECK(white_space_at_end(" \u2028 ") == 5);
  CHECK(white_space_at_start("\u200Ba") == 0);  // ZERO WIDTH SPACE is none
  CHECK(white_space_at_end("a\u00E0") == 0);    // its last byte is that of U+00A0
}

}  // namespace test_white_space
