// The shapes of the whole engine.
#include "t5gemma2/tensor.hpp"

#include <doctest/doctest.h>

#include "argument_error.hpp"

namespace test_tensor {

using namespace t5gemma2;

namespace {

/// What check_shape says about an x that is [rows, cols] and should be [2, 3]; "" where it is content.
template <class Shaped>
std::string complaint(const Shaped& x, Index rows = 2, Index cols = 3) {
  return argument_error([&] { check_shape(x, rows, cols, "linear x"); });
}

}  // namespace

TEST_CASE("tensor: check_shape lets the right shape pass, and any extent where -1 stands") {
  CHECK(complaint(Matrix(2, 3)) == "");
  CHECK(complaint(Matrix(7, 3), -1, 3) == "");
  CHECK(complaint(Matrix(2, 0), 2, -1) == "");
  CHECK(complaint(Vector(5), 5, 1) == "");
  CHECK(complaint(Weight{.rows = 2, .cols = 3}) == "");
}

TEST_CASE("tensor: check_shape names what is wrong, what it should be and what it is") {
  CHECK(complaint(Matrix(2, 4)) == "linear x: expected [2, 3], found [2, 4]");
  CHECK(complaint(Matrix(3, 3)) == "linear x: expected [2, 3], found [3, 3]");
  CHECK(complaint(Matrix(3, 2)) == "linear x: expected [2, 3], found [3, 2]");
  CHECK(complaint(Matrix(0, 5), -1, 3) == "linear x: expected [any, 3], found [0, 5]");
  CHECK(complaint(Weight{.rows = 3, .cols = 3}) == "linear x: expected [2, 3], found [3, 3]");
}

TEST_CASE("tensor: rows of a Matrix lie one after the other, as in the checkpoint") {
  const Matrix x{{1, 2, 3}, {4, 5, 6}};
  for (int i = 0; i < 6; ++i) CHECK(x.data()[i] == static_cast<float>(i + 1));
}

TEST_CASE("tensor: bytes of a stored row") {
  CHECK(row_bytes(StorageType::float32, 33) == 132);
  CHECK(row_bytes(StorageType::float16, 33) == 66);
  CHECK(row_bytes(StorageType::bfloat16, 33) == 66);
  CHECK(row_bytes(StorageType::int8_blocks, 33) == 68);
  CHECK(row_bytes(StorageType::int8_blocks, 64) == 68);
}

}  // namespace test_tensor
