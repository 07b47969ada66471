// y = x W^T with bfloat16 numbers, whose products are summed in float32. x is split into parts: the nearest bfloat16,
// that of what is left, and that of what is left then. Three parts are as exact as float32; one is what --dtype
// bfloat16 asks for. W is bfloat16.
//
// How a square of sums is computed is a template parameter: by tiles (AMX) or by pairs (AVX512_BF16). Their
// instructions are one, too: those of the processor (split_instructions.inl), or plain C++ (tests), so that all around
// them runs on every machine.

constexpr Index chain_steps = 8;   // steps of 32 numbers whose products are summed in one chain
constexpr Index panel_steps = 40;  // of 32 columns of W: 80 KB

/// `lanes` numbers of x -> their parts, a tile apart.
inline void split(Floats x, Index parts, std::uint16_t* to) {
  for (Index part = 0; part < parts; ++part, to += tile_size) {
    const Floats nearest = nearest_bfloat16(x), rest = x - nearest;
    const HalfWords bits = __builtin_convertvector(as_words(nearest) >> 16, HalfWords);
    __builtin_memcpy(to, &bits, sizeof bits);
    x = nearest - nearest == Floats{} ? rest : Floats{};  // nothing is left of what is not finite
  }
}

/// SimdKernels::split_row
inline void split_row(Index size, const float* x, Index parts, std::uint16_t* to) {
  for (Index first = 0; first < size; first += tile_depth, to += parts * tile_size) {
    float step[tile_depth] = {};
    __builtin_memcpy(step, x + first,
                     static_cast<std::size_t>(smaller(size - first, tile_depth)) * sizeof *x);
    for (Index k = 0; k < tile_depth; k += lanes) split(load(step + k), parts, to + k);
  }
}

/// `cols` rows of W, `depth` numbers of each -> one tile; what is missing is 0.
inline void load_tile(const BFloat16* W, Index stride, Index depth, Index cols, Words* tile) {
  Words rows[lanes] = {};
  if (depth == tile_depth && cols == lanes) {
#pragma GCC unroll 16
    for (int col = 0; col < lanes; ++col) __builtin_memcpy(&rows[col], W + col * stride, sizeof rows[col]);
  } else {
    for (Index col = 0; col < cols; ++col)
      __builtin_memcpy(&rows[col], W + col * stride, static_cast<std::size_t>(depth) * sizeof *W);
  }
  transpose(rows);
#pragma GCC unroll 16
  for (int pair = 0; pair < lanes; ++pair) tile[pair] = rows[pair];
}

/// Steps [first, last) of a square of sums: [32, 32] = two rows of x's tiles times W's tiles [steps, 2]. Tiles holds
/// eight tiles, 0 to 3 for sums, 4 and 5 for x, 6 and 7 for W:
///
///   zero<T>()    load<T>(from)  [16, 32], or for W pairs of k side by side: [16, 16 columns, 2]
///   dots<T, A>()    T and T + 1 [16, 16] += A [16, 32] times 6 and 7 [32, 16]        store<T>(to, stride)
template <class Tiles>
struct ByTiles {
  Tiles tiles;

  void operator()(Index /*rows*/, Index first, Index last, const SplitRows& x, const Words* W, float* sums) {
    tiles.template zero<0>();
    tiles.template zero<1>();
    tiles.template zero<2>();
    tiles.template zero<3>();
    for (Index part = x.parts - 1; part >= 0; --part)  // small products first: less of them is rounded away
      for (Index step = first; step < last; ++step) {
        tiles.template load<4>(x.tile(0, step, part));
        tiles.template load<5>(x.tile(1, step, part));
        tiles.template load<6>(W + (step - first) * 2 * lanes);
        tiles.template load<7>(W + ((step - first) * 2 + 1) * lanes);
        tiles.template dots<0, 4>();
        tiles.template dots<2, 5>();
      }
    tiles.template store<0>(sums, 32);
    tiles.template store<1>(sums + 16, 32);
    tiles.template store<2>(sums + 16 * 32, 32);
    tiles.template store<3>(sums + 16 * 32 + 16, 32);
  }
};

/// The same in registers, eight rows at a time, for the first `rows`. Pairs::add(sum, a, b) adds the products of two
/// pairs of bfloat16 in each lane.
template <class Pairs>
struct ByPairs {
  void operator()(Index rows, Index first, Index last, const SplitRows& x, const Words* W,
                  float* sums) const {
    for (Index row = 0; row < rows; row += 8) eight_rows(row, first, last, x, W, sums + row * 32);
  }

  static void eight_rows(Index row, Index first, Index last, const SplitRows& x, const Words* W,
                         float* sums) {
    Floats left[8], right[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) left[r] = right[r] = Floats{};
    for (Index part = x.parts - 1; part >= 0; --part)
      for (Index step = first; step < last; ++step) {
        const std::uint16_t* numbers = x.tile(row / 16, step, part) + row % 16 * tile_depth;
        const Words* w = W + (step - first) * 2 * lanes;
        for (Index k = 0; k < lanes; ++k, ++w, numbers += 2)
#pragma GCC unroll 8
          for (int r = 0; r < 8; ++r) {
            std::int32_t pair;
            __builtin_memcpy(&pair, numbers + r * tile_depth, sizeof pair);
            const Words same = reinterpret_cast<Words>(all(pair));
            left[r] = Pairs::add(left[r], same, w[0]);
            right[r] = Pairs::add(right[r], same, w[lanes]);
          }
      }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      store(left[r], sums + r * 32);
      store(right[r], sums + r * 32 + lanes);
    }
  }
};

/// y [rows, cols], at most 32 of each, = sums of the chains of steps [first, last); y + that where `add`.
template <class Multiply>
void multiply_square(Multiply& multiply, Index rows, Index cols, Index first, Index last, const SplitRows& x,
                     const Words* W, float* y, Index y_stride, bool add) {
  alignas(64) float sums[32 * 32];
  for (Index step = first; step < last; step += chain_steps) {
    multiply(rows, step, smaller(step + chain_steps, last), x, W + (step - first) * 2 * lanes, sums);
    put(rows, cols, sums, 32, y, y_stride, add || step > first);
  }
}

/// SimdKernels::multiply_split
template <class Multiply>
void multiply_split(Index rows, Index depth, Index cols, const SplitRows& x, const BFloat16* W, Index stride,
                    float* y, Index y_stride) {
  Multiply multiply;
  alignas(64) Words panel[panel_steps * 2 * lanes];
  for (Index col = 0; col < cols; col += 32)
    for (Index first = 0; first < x.steps; first += panel_steps) {
      const Index last = smaller(first + panel_steps, x.steps), width = smaller(cols - col, 32);
      for (Index step = first; step < last; ++step)
        for (Index half = 0; half < 2; ++half) {
          const Index from = smaller(16 * half, width);
          load_tile(W + (col + from) * stride + step * tile_depth, stride,
                    smaller(depth - step * tile_depth, tile_depth), smaller(width - from, 16),
                    panel + ((step - first) * 2 + half) * lanes);
        }
      for (Index row = 0; row < rows; row += 32)
        multiply_square(multiply, smaller(rows - row, 32), width, first, last, x.from(row), panel,
                        y + row * y_stride + col, y_stride, first > 0);
    }
}

/// `all`, and products with x in at most so many parts.
template <class Multiply>
constexpr SimdKernels with_parts(SimdKernels all, Index most_parts) {
  all.most_parts = most_parts;
  all.split_row = split_row;
  all.multiply_split = multiply_split<Multiply>;
  return all;
}
