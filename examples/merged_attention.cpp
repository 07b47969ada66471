// Merged attention, equations (1) to (5) of the paper, on matrices of your own: one header, no model.
#include <cmath>
#include <cstddef>
#include <exception>
#include <iostream>
#include <t5gemma2/merged_attention.hpp>

using namespace t5gemma2;

int main() {
  try {
    const Index m = 5, n = 7, d = 32;  // decoder tokens, encoder tokens, width
    const Heads heads{.query = 4, .kv = 2, .dim = 8};
    const Matrix Wq = Matrix::Random(heads.query * heads.dim, d),
                 Wk = Matrix::Random(heads.kv * heads.dim, d), Wv = Matrix::Random(heads.kv * heads.dim, d),
                 Wo = Matrix::Random(d, heads.query * heads.dim);
    const auto view = [](const Matrix& W) {  // a Weight does not own its numbers
      return Weight{reinterpret_cast<const std::byte*>(W.data()), StorageType::float32, W.rows(), W.cols()};
    };
    const Attention w{.q_proj = view(Wq),
                      .k_proj = view(Wk),
                      .v_proj = view(Wv),
                      .o_proj = view(Wo),
                      .q_norm = Vector::Zero(heads.dim),  // RMSNorm multiplies by 1 + weight
                      .k_norm = Vector::Zero(heads.dim),
                      .heads = heads,
                      .eps = 1e-6f,
                      .scale = 1 / std::sqrt(static_cast<float>(heads.dim)),
                      .window = 4};
    const CosSin rope = rope_at({.theta = 10'000, .factor = 1}, heads.dim, 0, m);  // positions 0 to m - 1

    const Matrix X = Matrix::Random(m, d), H = Matrix::Random(n, d);
    const Matrix O = merged_attention(w, X, H, rope);
    std::cout << "O [" << O.rows() << ", " << O.cols() << "], largest " << O.cwiseAbs().maxCoeff() << '\n';
  } catch (const std::exception& error) {  // an argument that does not fit: field, expected, found
    std::cerr << error.what() << '\n';
    return 1;
  }
}
