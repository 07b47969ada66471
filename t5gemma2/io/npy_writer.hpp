// Writing arrays as .npy files, which numpy.load reads. Reference: numpy lib/format.py, format version 1.0.
#pragma once
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "../tensor.hpp"
#include "atomic_file.hpp"
#include "mapped_file.hpp"

namespace t5gemma2 {

namespace npy_detail {

/// Magic, length and text of the header, padded so that the numbers begin at a multiple of 64.
inline std::string header_for(const std::vector<Index>& shape) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const Index extent : shape) text += std::to_string(extent) + ", ";
  text += "), }";
  constexpr std::size_t aligned = 64, before = 10;  // bytes before the text
  text.append(aligned - 1 - (before + text.size()) % aligned, ' ').push_back('\n');
  const std::string length = {static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return std::string("\x93NUMPY\x01\0", before - length.size()) + length + text;
}

}  // namespace npy_detail

/// Writes `values` (row-major) as little-endian float32 to `path`, atomically. Throws Error when the file
/// cannot be written, std::invalid_argument unless there are as many values as `shape` says.
inline void write_npy(const std::filesystem::path& path, const std::vector<Index>& shape,
                      std::span<const float> values) {
  Index size = 1;
  for (const Index extent : shape) size *= extent;
  if (size != std::ssize(values))
    throw std::invalid_argument("write_npy: expected " + std::to_string(size) + " numbers, found " +
                                std::to_string(values.size()));
  write_atomically(path, [&](std::ostream& out) {
    out << npy_detail::header_for(shape) << as_text(std::as_bytes(values));
  });
}

}  // namespace t5gemma2
