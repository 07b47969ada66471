// y = x W^T with rows in blocks (../blocks.hpp): within a block whole numbers are multiplied, in pairs, and their sum
// is exact; then it is scaled and added in float32. Many rows of x share panels, as in tiles.inl; few read W where
// it lies.

typedef std::int16_t LoadedShorts __attribute__((vector_size(register_bytes < 32 ? register_bytes : 32)));
constexpr int block_registers = 2 * block_size / register_bytes;  // of a block's numbers in 16 bits

inline Ints all(std::int32_t x) { return x - Ints{}; }
inline Floats to_floats(Ints x) { return __builtin_convertvector(x, Floats); }

template <int... I>
Shorts join(LoadedShorts a, LoadedShorts b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, I...);
}

// ---- x in blocks ----

/// x [32] -> numbers [32] in 16 bits, times the scale, which is returned.
inline float to_int16_block(const float* x, std::int16_t* numbers) {
  constexpr int parts = block_size / lanes;
  Floats most = {}, not_finite = {};
#pragma GCC unroll 8
  for (int i = 0; i < parts; ++i) {
    const Floats part = load(x + i * lanes), size = as_floats(as_words(part) & 0x7fffffffu);
    most = size > most ? size : most;
    not_finite += part * all(0.0f);
  }
  const float top = largest(most), scale = top < 1e-30f ? 0.0f : top / 32767,
              inverse = scale > 0 ? 1 / scale : 0.0f;
#pragma GCC unroll 8
  for (int i = 0; i < parts; ++i) {  // the last bits of these sums are the nearest whole numbers
    const Words shifted = as_words(load(x + i * lanes) * all(inverse) + all(0x1.8p23f));
    const HalfWords last = __builtin_convertvector(shifted, HalfWords);
    __builtin_memcpy(numbers + i * lanes, &last, sizeof last);
  }
  return scale + sum(not_finite);
}

/// SimdKernels::to_int16_blocks
inline void to_int16_blocks(Index size, const float* x, std::int16_t* numbers, float* scales) {
  for (; size >= block_size; size -= block_size, x += block_size, numbers += block_size)
    *scales++ = to_int16_block(x, numbers);
  if (size == 0) return;
  float rest[block_size] = {};
  __builtin_memcpy(rest, x, static_cast<std::size_t>(size) * sizeof *x);
  *scales = to_int16_block(rest, numbers);
}

// ---- few rows ----

/// A block's numbers in 16 bits, in order.
inline void widen(const Int8Block& block, Shorts* numbers) {
  constexpr int loads = block_size / static_cast<int>(sizeof(LoadedShorts));
#pragma GCC unroll 2
  for (int i = 0; i < loads; ++i) {
    LoadedShorts pairs;
    __builtin_memcpy(&pairs, block.numbers + i * static_cast<int>(sizeof pairs), sizeof pairs);
    const LoadedShorts first = (pairs << 8) >> 8, second = pairs >> 8;
    if constexpr (block_registers == 1) {
      numbers[0] = join(first, second, std::make_integer_sequence<int, 2 * lanes>());
    } else {
      __builtin_memcpy(&numbers[i], &first, sizeof first);
      __builtin_memcpy(&numbers[loads + i], &second, sizeof second);
    }
  }
}

/// For R rows of x: y [R, S], the products with S rows of W that are `step` rows apart.
template <int R, int S>
void block_dots(Index blocks, const std::int16_t* x, const float* x_scales, const Int8Block* W, Index step,
                float* y, Index y_stride) {
  Floats sums[R][S] = {};
  for (Index block = 0; block < blocks; ++block)
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
      const Int8Block& w = W[s * step * blocks + block];
      Shorts numbers[block_registers];
      widen(w, numbers);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        Ints total = {};
#pragma GCC unroll 4
        for (int i = 0; i < block_registers; ++i) {
          Shorts pairs;
          __builtin_memcpy(&pairs, x + (r * blocks + block) * block_size + i * 2 * lanes, sizeof pairs);
          total = add_pairs(total, numbers[i], pairs);
        }
        const float scale = to_float(w.scale) * x_scales[r * blocks + block];
        sums[r][s] = fma(to_floats(total), all(scale), sums[r][s]);
      }
    }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) y[r * y_stride + s * step] = sum(sums[r][s]);
}

template <int R>
void multiply_few_block_rows(Index blocks, Index cols, const std::int16_t* x, const float* x_scales,
                             const Int8Block* W, float* y, Index y_stride) {
  constexpr int streams = R <= 2 ? most_streams : most_streams / 2;
  const Index step = cols / streams;
  for (Index col = 0; col < step; ++col)
    block_dots<R, streams>(blocks, x, x_scales, W + col * blocks, step, y + col, y_stride);
  for (Index col = step * streams; col < cols; ++col)
    block_dots<R, 1>(blocks, x, x_scales, W + col * blocks, 0, y + col, y_stride);
}

// ---- many rows ----

/// A block of panel_cols rows of W: 16 pairs of numbers of each, then the scales.
struct BlockPanel {
  Shorts pairs[block_size / 2][2];
  Floats scales[2];
};

constexpr Index panel_blocks = 40;  // of a group of panels: 170 KB

/// `cols` rows of W that are `stride` blocks apart -> a panel of one of their blocks; other columns are 0.
inline void load_block_panel(const Int8Block* W, Index stride, Index cols, BlockPanel& panel) {
  constexpr int words = block_size / 4, loaded = lanes < words ? lanes : words;
  static constexpr Int8Block none{};
  for (int half = 0; half < 2; ++half) {
    const Int8Block* columns[lanes];
    for (int i = 0; i < lanes; ++i) {
      const Index col = half * lanes + i;
      columns[i] = col < cols ? W + col * stride : &none;
      panel.scales[half][i] = to_float(columns[i]->scale);
    }
    for (int word = 0; word < words; word += loaded) {
      Words rows[lanes] = {};
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) __builtin_memcpy(&rows[i], columns[i]->numbers + 4 * word, 4 * loaded);
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < loaded; ++i) {
        const Shorts pairs = reinterpret_cast<Shorts>(rows[i]);
        panel.pairs[word + i][half] = (pairs << 8) >> 8;
        panel.pairs[words + word + i][half] = pairs >> 8;
      }
    }
  }
}

// Sums of both kinds take 24 of 32 registers; of 16, those of whole numbers do, and float32 waits in the first cache.
constexpr int block_tile_rows = 6;

/// y [R, panel_cols] = R rows of x times `blocks` panels, one after the other; y + that where `add`. Rows of x have
/// x_blocks blocks.
template <int R>
[[gnu::noinline]] void multiply_block_tile(Index blocks, const std::int16_t* x, const float* x_scales,
                                           Index x_blocks, const BlockPanel* panel, float* y, Index y_stride,
                                           bool add) {
  Floats totals[R][2] = {};
  for (Index block = 0; block < blocks; ++block, ++panel, x += block_size) {
    Ints sums[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = Ints{};
#pragma GCC unroll 2
    for (int k = 0; k < block_size / 2; ++k) {
      const Shorts left = panel->pairs[k][0], right = panel->pairs[k][1];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        std::int32_t pair;
        __builtin_memcpy(&pair, x + r * x_blocks * block_size + 2 * k, sizeof pair);
        const Shorts pairs = reinterpret_cast<Shorts>(all(pair));
        sums[r][0] = add_pairs(sums[r][0], left, pairs);
        sums[r][1] = add_pairs(sums[r][1], right, pairs);
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const Floats scale = all(x_scales[r * x_blocks + block]);
      totals[r][0] = fma(to_floats(sums[r][0]), panel->scales[0] * scale, totals[r][0]);
      totals[r][1] = fma(to_floats(sums[r][1]), panel->scales[1] * scale, totals[r][1]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    float* to = y + r * y_stride;
    store(add ? load(to) + totals[r][0] : totals[r][0], to);
    store(add ? load(to + lanes) + totals[r][1] : totals[r][1], to + lanes);
  }
}

/// The same for any number of rows, R at a time; the last ones 4, 2 or 1.
template <int R>
void multiply_block_rows(Index rows, Index blocks, const std::int16_t* x, const float* x_scales,
                         Index x_blocks, const BlockPanel* panel, float* y, Index y_stride, bool add) {
  for (; rows >= R; rows -= R, x += R * x_blocks * block_size, x_scales += R * x_blocks, y += R * y_stride)
    multiply_block_tile<R>(blocks, x, x_scales, x_blocks, panel, y, y_stride, add);
  if constexpr (R > 1) {
    constexpr int fewer = R == 6 ? 4 : R / 2;
    if (rows > 0) multiply_block_rows<fewer>(rows, blocks, x, x_scales, x_blocks, panel, y, y_stride, add);
  }
}

/// multiply_block_rows for the `cols` < panel_cols columns of y that there are.
inline void multiply_narrow_blocks(Index rows, Index blocks, const std::int16_t* x, const float* x_scales,
                                   Index x_blocks, const BlockPanel* panel, float* y, Index y_stride,
                                   Index cols, bool add) {
  float wide[block_tile_rows * panel_cols];
  multiply_block_rows<block_tile_rows>(rows, blocks, x, x_scales, x_blocks, panel, wide, panel_cols, false);
  put(rows, cols, wide, panel_cols, y, y_stride, add);
}

/// y [rows, cols] = the products with a group of panels; y + that where `add`.
inline void multiply_block_panels(Index rows, Index blocks, Index cols, const std::int16_t* x,
                                  const float* x_scales, Index x_blocks, const BlockPanel* panels, float* y,
                                  Index y_stride, bool add) {
  for (Index row = 0; row < rows; row += block_tile_rows)
    for (Index col = 0; col < cols; col += panel_cols) {
      const Index count = smaller(rows - row, block_tile_rows);
      const std::int16_t* tile = x + row * x_blocks * block_size;
      const float* scales = x_scales + row * x_blocks;
      const BlockPanel* panel = panels + col / panel_cols * blocks;
      float* to = y + row * y_stride + col;
      if (cols - col < panel_cols)
        multiply_narrow_blocks(count, blocks, tile, scales, x_blocks, panel, to, y_stride, cols - col, add);
      else
        multiply_block_rows<block_tile_rows>(count, blocks, tile, scales, x_blocks, panel, to, y_stride, add);
    }
}

inline void multiply_many_block_rows(Index rows, Index blocks, Index cols, const std::int16_t* x,
                                     const float* x_scales, const Int8Block* W, float* y, Index y_stride) {
  BlockPanel panels[group_cols / panel_cols * panel_blocks];
  for (Index group = 0; group < cols; group += group_cols) {
    const Index width = smaller(group_cols, cols - group);
    Index first = 0;
    do {
      const Index count = smaller(panel_blocks, blocks - first);
      for (Index col = 0; col < width; col += panel_cols)
        for (Index block = 0; block < count; ++block)
          load_block_panel(W + (group + col) * blocks + first + block, blocks, width - col,
                           panels[col / panel_cols * count + block]);
      multiply_block_panels(rows, count, width, x + first * block_size, x_scales + first, blocks, panels,
                            y + group, y_stride, first > 0);
      first += panel_blocks;
    } while (first < blocks);
  }
}

/// SimdKernels::multiply_int8
inline void multiply_int8(Index rows, Index blocks, Index cols, const std::int16_t* x, const float* x_scales,
                          const Int8Block* W, float* y, Index y_stride) {
  if (with_few_rows(rows,
                    [&]<int R>() { multiply_few_block_rows<R>(blocks, cols, x, x_scales, W, y, y_stride); }))
    return;
  multiply_many_block_rows(rows, blocks, cols, x, x_scales, W, y, y_stride);
}
