// y = x W^T by tiles of bfloat16 numbers, whose products are summed in float32. x is split into parts: the nearest
// bfloat16, that of what is left, and that of what is left then. Three parts are as exact as float32; one is what
// --dtype bfloat16 asks for. W is bfloat16.
//
// The instructions are a template parameter, Tiles: AmxTiles below, or tiles in plain C++ (tests), so that all
// around the instructions runs on every machine. Tiles holds eight of them, 0 to 3 for sums, 4 and 5 for x, 6 and 7
// for W:
//
//   zero<T>()    load<T>(from)  [16, 32], or for W pairs of k side by side: [16, 16 columns, 2]
//   dot<T, A, B>()    T [16, 16] += A [16, 32] B [32, 16]        store<T>(to, stride)

constexpr Index chain_steps = 4;   // steps of 32 numbers whose products are summed in one chain
constexpr Index panel_steps = 40;  // of 32 columns of W: 80 KB

/// The nearest bfloat16, to even where two are as near; bits.
inline std::uint16_t nearest_bfloat16(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if (x != x) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// SimdKernels::split_row
inline void split_row(Index size, const float* x, Index parts, std::uint16_t* to) {
  for (Index first = 0; first < size; first += tile_depth, to += parts * tile_size)
    for (Index k = 0; k < tile_depth; ++k) {
      float rest = first + k < size ? x[first + k] : 0.0f;
      for (Index part = 0; part < parts; ++part) {
        const std::uint16_t nearest = nearest_bfloat16(rest);
        const std::uint32_t bits = static_cast<std::uint32_t>(nearest) << 16;
        float taken;
        __builtin_memcpy(&taken, &bits, sizeof taken);
        to[part * tile_size + k] = nearest;
        rest = rest - taken == rest - taken ? rest - taken : 0.0f;  // nothing is left of infinity
      }
    }
}

/// `cols` rows of W, `depth` numbers of each -> one tile; what is missing is 0.
inline void load_tile(const BFloat16* W, Index stride, Index depth, Index cols, Words* tile) {
  Words rows[lanes] = {};
  for (Index col = 0; col < cols; ++col)
    __builtin_memcpy(&rows[col], W + col * stride, static_cast<std::size_t>(depth) * sizeof *W);
  transpose(rows);
  for (int pair = 0; pair < lanes; ++pair) tile[pair] = rows[pair];
}

/// Steps [first, last) of sums [32, 32] += two rows of x's tiles times W's tiles [steps, 2].
template <class Tiles>
void multiply_tiles(Tiles& tiles, Index first, Index last, const SplitRows& x, const Words* W, float* sums) {
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
      tiles.template dot<0, 4, 6>();
      tiles.template dot<1, 4, 7>();
      tiles.template dot<2, 5, 6>();
      tiles.template dot<3, 5, 7>();
    }
  tiles.template store<0>(sums, 32);
  tiles.template store<1>(sums + 16, 32);
  tiles.template store<2>(sums + 16 * 32, 32);
  tiles.template store<3>(sums + 16 * 32 + 16, 32);
}

/// y [rows, cols], at most 32 of each, = sums of the chains of steps [first, last); y + that where `add`.
template <class Tiles>
void multiply_square(Tiles& tiles, Index rows, Index cols, Index first, Index last, const SplitRows& x,
                     const Words* W, float* y, Index y_stride, bool add) {
  alignas(64) float sums[32 * 32];
  for (Index step = first; step < last; step += chain_steps) {
    multiply_tiles(tiles, step, smaller(step + chain_steps, last), x, W + (step - first) * 2 * lanes, sums);
    for (Index row = 0; row < rows; ++row)
      for (Index col = 0; col < cols; ++col) {
        float& to = y[row * y_stride + col];
        to = add || step > first ? to + sums[row * 32 + col] : sums[row * 32 + col];
      }
  }
}

/// SimdKernels::multiply_split
template <class Tiles>
void multiply_split(Index rows, Index depth, Index cols, const SplitRows& x, const BFloat16* W, Index stride,
                    float* y, Index y_stride) {
  Tiles tiles;
  alignas(64) Words panel[panel_steps * 2 * lanes];
  for (Index col = 0; col < cols; col += 32)
    for (Index first = 0; first < x.steps; first += panel_steps) {
      const Index last = smaller(first + panel_steps, x.steps), width = smaller(cols - col, 32);
      for (Index step = first; step < last; ++step)
        for (Index half = 0; half < 2; ++half)
          load_tile(W + (col + 16 * half) * stride + step * tile_depth, stride,
                    smaller(depth - step * tile_depth, tile_depth), smaller(width - 16 * half, 16),
                    panel + ((step - first) * 2 + half) * lanes);
      for (Index row = 0; row < rows; row += 32)
        multiply_square(tiles, smaller(rows - row, 32), width, first, last, x.from(row), panel,
                        y + row * y_stride + col, y_stride, first > 0);
    }
}
