// LayerNorm (Ba et al. 2016), the norm of SigLIP, row by row, torch.nn.LayerNorm:
//
//   y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias
#pragma once
#include <cmath>
#include <string>

#include "../kernels/parallel.hpp"
#include "../kernels/simd.hpp"
#include "../tensor.hpp"

namespace t5gemma2 {

struct LayerNorm {
  Vector weight, bias;  // [size]
  float eps = unset;
};

/// Throws std::invalid_argument naming the field unless w, called `name`, is complete and of this size.
inline void check(const LayerNorm& w, Index size, const std::string& name) {
  check_argument(size > 0, (name + " weight").c_str(), "1 number or more", "none");
  check_shape(w.weight, size, 1, (name + " weight").c_str());
  check_shape(w.bias, size, 1, (name + " bias").c_str());
  check_eps(w.eps, (name + " eps").c_str());
}

/// The plain form.
inline Matrix plain_layer_norm(const LayerNorm& w, const Matrix& x) {
  check(w, w.weight.size(), "layer_norm");
  check_shape(x, -1, w.weight.size(), "layer_norm x");
  Matrix y(x.rows(), x.cols());
  for (Index i = 0; i < x.rows(); ++i) {
    const Eigen::ArrayXd row = x.row(i).transpose().cast<double>().array(), centred = row - row.mean();
    const Eigen::ArrayXd normalised = centred / std::sqrt(centred.square().mean() + double{w.eps});
    y.row(i) = (normalised.cast<float>() * w.weight.array() + w.bias.array()).transpose();
  }
  return y;
}

/// x [rows, size] -> [rows, size]. Throws std::invalid_argument where w is incomplete or x has another width.
inline Matrix layer_norm(const LayerNorm& w, const Matrix& x) {
  check(w, w.weight.size(), "layer_norm");
  check_shape(x, -1, w.weight.size(), "layer_norm x");
  Matrix y(x.rows(), x.cols());
  parallel_blocks(x.rows(), 64, [&](Index first, Index count) {
    simd().layer_norm(count, x.cols(), x.data() + first * x.cols(), w.weight.data(), w.bias.data(), w.eps,
                      y.data() + first * x.cols());
  });
  return y;
}

}  // namespace t5gemma2
