// All kernels of one instruction set.
#include "functions.inl"
#include "limits.inl"
#include "norms.inl"
#include "product.inl"
#include "softmax.inl"

constexpr SimdKernels kernels{
    .multiply_transposed = {multiply_transposed<float>, multiply_transposed<Float16>,
                            multiply_transposed<BFloat16>},
    .multiply_add = multiply_add,
    .panel_cols = panel_cols,
    .pack_transposed = pack_transposed,
    .pack_columns = pack_columns,
    .multiply_panels = multiply_groups,
    .softmax_tile = softmax_tile,
    .gelu_tanh = gelu_tanh,
    .rotate = rotate,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .multiply_and_add = multiply_and_add,
    .sum_of = sum_of,
};
