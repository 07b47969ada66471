// The matrix products y = x W^T and y = y + x V. Many rows of x share panels (panels.inl), which are filled a group
// of columns and a block of the depth at a time; few rows read the matrix where it lies (few_rows.inl).

constexpr Index depth_block = 640;  // of a group of panels: 160 KB

/// Walks over groups of columns and blocks of the depth; load(panel, first k, depth, first column, columns) fills
/// one panel.
template <class LoadPanel>
void multiply_blocks(Index rows, Index depth, Index cols, const float* x, Index x_stride, float* y,
                     Index y_stride, bool add, const LoadPanel& load_panel) {
  alignas(64) float panels[group_cols * depth_block];
  for (Index group = 0; group < cols; group += group_cols) {
    const Index group_end = smaller(group + group_cols, cols);
    Index k = 0;
    do {
      const Index block = smaller(depth - k, depth_block);
      for (Index col = group; col < group_end; col += panel_cols)
        load_panel(panels + (col - group) * block, k, block, col, smaller(group_end - col, panel_cols));
      multiply_panels(rows, block, group_end - group, x + k, x_stride, panels, block * panel_cols, y + group,
                      y_stride, add || k > 0);
      k += depth_block;
    } while (k < depth);
  }
}

/// SimdKernels::multiply_transposed
template <class Stored>
void multiply_transposed(Index rows, Index depth, Index cols, const float* x, Index x_stride, const Stored* W,
                         Index stride, float* y, Index y_stride) {
  if (with_few_rows(rows,
                    [&]<int R>() { multiply_few_rows<R>(depth, cols, x, x_stride, W, stride, y, y_stride); }))
    return;
  multiply_blocks(rows, depth, cols, x, x_stride, y, y_stride, false,
                  [&](float* panel, Index k, Index block, Index col, Index count) {
                    load_transposed(W + col * stride + k, stride, block, count, panel);
                  });
}

/// SimdKernels::multiply_add
inline void multiply_add(Index rows, Index depth, Index cols, const float* x, Index x_stride, const float* V,
                         Index stride, float* y, Index y_stride) {
  if (with_few_rows(rows,
                    [&]<int R>() { add_few_rows<R>(depth, cols, x, x_stride, V, stride, y, y_stride); }))
    return;
  multiply_blocks(rows, depth, cols, x, x_stride, y, y_stride, true,
                  [&](float* panel, Index k, Index block, Index col, Index count) {
                    load_columns(V + k * stride + col, stride, block, count, panel);
                  });
}
