// LayerNorm (Ba et al. 2016), SigLIP's norm, row by row:
//
//   y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias
//
// Reference: torch.nn.LayerNorm.
#pragma once
#include <cmath>

#include "../kernels/parallel.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

struct LayerNorm {
  Vector weight, bias;  // [size]
  float eps = 0;
};

/// x [rows, size] -> [rows, size].
inline Matrix layer_norm(const LayerNorm& w, Matrix x) {
  check_shape(x, -1, w.weight.size(), "layer_norm x");
  parallel_blocks(x.rows(), 64, [&](Index first, Index count) {
    for (auto&& row : x.middleRows(first, count).rowwise()) {
      const Eigen::ArrayXd centred =
          row.transpose().array().template cast<double>() - row.template cast<double>().mean();
      const double scale = 1 / std::sqrt(centred.square().mean() + double{w.eps});
      row = ((centred * scale).template cast<float>() * w.weight.array() + w.bias.array()).transpose();
    }
  });
  return x;
}

}  // namespace t5gemma2
