// Instruction sets. The kernels in simd/ are compiled once for each, and one is chosen when a program starts,
// by what the processor can do. So no program needs machine flags.
//
//   baseline     what every processor of the architecture has: SSE2, NEON
//   avx2         AVX2 with FMA and F16C: x86 since 2013
//   avx512       AVX-512: F, BW, DQ, VL, VNNI: servers since 2019, laptops since 2020
//   avx512_bf16  that, and products of pairs in bfloat16: some servers since 2020, AMD since 2022
//   amx          that, and products of tiles in bfloat16
//
// The environment variable T5GEMMA2_ISA caps the choice.
#pragma once
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../error.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace t5gemma2 {

enum class Isa { baseline, avx2, avx512, avx512_bf16, amx };  // each contains those before it

inline constexpr std::array<std::string_view, 5> isa_names{"baseline", "avx2", "avx512", "avx512_bf16",
                                                           "amx"};

inline std::string_view name_of(Isa isa) { return isa_names[static_cast<std::size_t>(isa)]; }

#if defined(__x86_64__)
/// Whether the processor converts float16, which clang's __builtin_cpu_supports does not know.
inline bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

/// Whether the processor multiplies tiles of bfloat16, and Linux gives this process their registers, which it
/// does on request.
inline bool may_use_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned amx_tile = 1u << 24, amx_bf16 = 1u << 22;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & amx_tile) == 0 || (edx & amx_bf16) == 0) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

/// The largest instruction set of this processor.
inline Isa processor_isa() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  if (!avx512) return avx2 ? Isa::avx2 : Isa::baseline;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512;
  return may_use_amx() ? Isa::amx : Isa::avx512_bf16;
#else
  return Isa::baseline;
#endif
}

/// The instruction set `cap` names; the processor's where it is null or empty. Throws Error where it names
/// none, or one that the processor does not have.
inline Isa capped_isa(const char* cap, Isa processor) {
  const std::string_view name = cap == nullptr ? "" : cap;
  if (name.empty()) return processor;
  std::string names;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(processor); ++i) {
    if (name == isa_names[i]) return static_cast<Isa>(i);
    names += (names.empty() ? "" : ", ") + std::string(isa_names[i]);
  }
  fail("environment", "T5GEMMA2_ISA", names + " on this processor", std::string(name));
}

/// The instruction set in use. Throws Error where T5GEMMA2_ISA is wrong.
inline Isa isa() {
  static const Isa chosen = capped_isa(std::getenv("T5GEMMA2_ISA"), processor_isa());
  return chosen;
}

}  // namespace t5gemma2
