// libFuzzer: whatever a safetensors file holds, it is read or refused with an Error; all data lies inside
// the file.
#include <cstdint>
#include <cstdlib>

#include "t5gemma2/checkpoint/safetensors_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  try {
    unsigned sum = 0;
    for (const t5gemma2::TensorEntry& tensor : t5gemma2::read_safetensors_header(file, "fuzz").tensors) {
      if (t5gemma2::bytes_of(tensor.dtype, tensor.shape) != tensor.end - tensor.begin) std::abort();
      for (std::size_t i = tensor.begin; i < tensor.end; ++i) sum += data[i];
    }
    [[maybe_unused]] static volatile unsigned keep_the_reads;
    keep_the_reads = sum;
  } catch (const t5gemma2::Error&) {
  }
  return 0;
}
