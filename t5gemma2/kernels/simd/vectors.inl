// One register of an instruction set as a type, with GCC's vector extension (clang has it too), and what the
// kernels do with registers besides + - * /.
//
// Before this text, ../simd.hpp defines for the instruction set:
//   register_bytes, registers          the size of a register, and how many there are
//   fma(a, b, c)                       a * b + c, rounded once where the processor can
//   to_floats(const Float16*)          `lanes` numbers of 16 bits
//   add_pairs(Ints sum, a, b)          sum + the products of 16-bit numbers a and b, two in each lane

typedef float Floats __attribute__((vector_size(register_bytes)));
typedef std::uint32_t Words __attribute__((vector_size(register_bytes)));
typedef std::int32_t Ints __attribute__((vector_size(register_bytes)));
typedef std::int16_t Shorts __attribute__((vector_size(register_bytes)));
typedef std::uint16_t HalfWords __attribute__((vector_size(register_bytes / 2)));
constexpr int lanes = register_bytes / 4;

inline Floats load(const float* from) {
  Floats x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

inline void store(Floats x, float* to) { __builtin_memcpy(to, &x, sizeof x); }

inline Floats all(float x) { return x - Floats{}; }

inline Floats as_floats(Words x) { return reinterpret_cast<Floats>(x); }
inline Words as_words(Floats x) { return reinterpret_cast<Words>(x); }

// ---- `lanes` stored numbers as float32 ----

inline Floats to_floats(const float* from) { return load(from); }

inline Floats to_floats(const BFloat16* from) {
  HalfWords x;
  __builtin_memcpy(&x, from, sizeof x);
  return as_floats(__builtin_convertvector(x, Words) << 16);
}

// ---- across the lanes of a register ----

/// Lane i of the result is lane indices[i] of x, or of y from `lanes` on.
template <class Register, int... I>
Register pick(Register x, Register y, std::integer_sequence<int, I...>, auto index) {
  return __builtin_shufflevector(x, y, decltype(index)::of(I)...);
}

using Lanes = std::make_integer_sequence<int, lanes>;

template <int S>
struct Flip {  // lane i gets lane i ^ S
  static constexpr int of(int i) { return i ^ S; }
};

/// The sum of all lanes, in halves.
template <int S = lanes / 2>
float sum(Floats x) {
  x += pick(x, x, Lanes(), Flip<S>());
  if constexpr (S > 1)
    return sum<S / 2>(x);
  else
    return x[0];
}

/// The largest of all lanes.
template <int S = lanes / 2>
float largest(Floats x) {
  const Floats y = pick(x, x, Lanes(), Flip<S>());
  x = x > y ? x : y;
  if constexpr (S > 1)
    return largest<S / 2>(x);
  else
    return x[0];
}

template <int S, bool high>
struct
    Exchange {  // x keeps the lanes without bit S and gets y's in place of the others; y the other way round
  static constexpr int of(int i) {
    if constexpr (high) return (i & S) != 0 ? lanes + i : i + S;
    return (i & S) != 0 ? lanes + i - S : i;
  }
};

/// rows[lanes] as a square matrix of 32-bit numbers -> its transpose, in place.
template <int S = lanes / 2>
void transpose(Words* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if ((i & S) != 0) continue;
    const Words x = rows[i], y = rows[i + S];
    rows[i] = pick(x, y, Lanes(), Exchange<S, false>());
    rows[i + S] = pick(x, y, Lanes(), Exchange<S, true>());
  }
  if constexpr (S > 1) transpose<S / 2>(rows);
}
