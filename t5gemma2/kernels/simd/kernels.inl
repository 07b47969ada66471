// All kernels of one instruction set; each text stands on those before it.
// clang-format off
#include "functions.inl"
#include "norms.inl"
#include "softmax.inl"
#include "tiles.inl"
#include "panels.inl"
#include "few_rows.inl"
#include "product.inl"
#include "blocks.inl"
#include "limits.inl"
// clang-format on

constexpr SimdKernels kernels{
    .multiply_transposed = {multiply_transposed<float>, multiply_transposed<Float16>,
                            multiply_transposed<BFloat16>},
    .to_int16_blocks = to_int16_blocks,
    .multiply_int8 = multiply_int8,
    .multiply_add = multiply_add,
    .panel_cols = panel_cols,
    .pack_transposed = pack_transposed,
    .pack_columns = pack_columns,
    .multiply_panels = multiply_groups,
    .softmax_tile = softmax_tile,
    .gelu_tanh = gelu_tanh,
    .round_to_bfloat16 = round_to_bfloat16,
    .rotate = rotate,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .multiply_and_add = multiply_and_add,
    .sum_of = sum_of,
};
