#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>

namespace emulsion {

// The forms in which adapters store a change of a weight W [out, in] or [out, in, k, k].  r is the
// rank; the pieces have the file's dtype.  Immutable.

// LoRA (Hu et al. 2021, section 4.1): W + scale * up @ down.
struct LowRank {
  at::Tensor down;   // [r, in] or [r, in, k, k]; with a core [r, in, 1, 1]
  at::Tensor up;     // [out, r] or [out, r, 1, 1]
  at::Tensor core;   // [r, r, k, k] between the two, as CP-decomposed convolutions have it, or none
  double scale = 1;  // alpha / r
};

// LoHa (Hyeon-Woo et al. 2021, FedPara, propositions 1 and 3): W + scale * first * second, element
// by element, where each factor is a @ b.
struct HadamardProduct {
  struct Factor {
    at::Tensor a, b;  // [out, r], [r, in * k * k]; with a core [r, out], [r, in]
    at::Tensor core;  // [r, r, k, k] or none
  };
  Factor first, second;
  double scale = 1;
};

// LoKr (Yeh et al. 2023, LyCORIS, section 3.2): W + scale * kron(first, second).
struct KroneckerProduct {
  struct Factor {
    at::Tensor whole;  // [rows, columns] or [rows, columns, k, k], or none:
    at::Tensor a, b;   // [rows, r], [r, columns * k * k]; with a core [r, rows], [r, columns]
    at::Tensor core;   // [r, r, k, k] or none
  };
  Factor first, second;
  double scale = 1;
};

// W + difference
struct Difference {
  at::Tensor difference;  // of W's shape
};

// OFT (Qiu et al. 2023, section 3.2): every block of W's rows is rotated by R = (I + Q)(I - Q)^-1
// with the skew Q = blocks - blocks^T, as kohya's and LyCORIS' files mean it: R^T W.
struct Rotation {
  at::Tensor blocks;      // [out / b, b, b]
  at::Tensor rescale;     // [out, 1, ...] or none: the rows' factors afterwards
  double constraint = 0;  // the most that the norm of all of Q may be; 0 is no limit
};

// BOFT (Liu et al. 2023, section 4): a rotation in m stages; between them rows change places as in
// a butterfly, so that few small blocks reach every row: R_m ... R_1 W.
struct ButterflyRotation {
  at::Tensor blocks;   // [m, out / b, b, b]
  at::Tensor rescale;  // as above
  double constraint = 0;
};

// OFT and BOFT as PEFT has them, of W's columns [in * k * k] instead of its rows, in m stages
// between which columns change places: W R_1^T ... R_m^T, R = (I - Q)(I + Q)^-1.
struct ColumnRotation {
  // BOFT's [m, n, b, b], of which half the skew part is Q; or OFT's upper triangles of Q in rows,
  // [n, b (b - 1) / 2], one stage; where n is 1, one block for all.
  at::Tensor blocks;
  std::int64_t size = 0;   // b
  at::Tensor rescale;      // as above
  std::int64_t terms = 0;  // of the series I + 2 Q + 2 Q^2 + ... + Q^(terms - 1) for R; 0: exactly
  double limit = 0;        // the most that the norm of a block's Q may be; 0 is no limit
};

// IA3 (Liu et al. 2022, section 3.3), as LyCORIS has it: W * (1 + factors).
struct ChannelFactors {
  at::Tensor factors;  // [out, 1, ...] or [1, in, ...]; of a bias [out]
};

// GLoRA (Chavan et al. 2023, equation 10) without its parts for biases, as LyCORIS has it:
// W + scale * (W a1 a2 + b1 b2), where a1 a2 mixes W's input channels.
struct GeneralizedLowRank {
  at::Tensor a1, a2;  // [in, r], [r, in]
  at::Tensor b1, b2;  // [out, r], [r, in * k * k]; with a core [r, in]
  at::Tensor core;    // [r, r, k, k] or none
  double scale = 1;
};

using WeightForm =
    std::variant<LowRank, HadamardProduct, KroneckerProduct, Difference, Rotation,
                 ButterflyRotation, ColumnRotation, ChannelFactors, GeneralizedLowRank>;

// W + strength * change, or the rotation gone along by that part of it: I + strength * (R - I).
// `base` [out, ...] is float32, and is not written; the result is of its shape and on its device.
// [any thread]
at::Tensor changed(const LowRank& form, const at::Tensor& base, double strength);
at::Tensor changed(const HadamardProduct& form, const at::Tensor& base, double strength);
at::Tensor changed(const KroneckerProduct& form, const at::Tensor& base, double strength);
at::Tensor changed(const Difference& form, const at::Tensor& base, double strength);
at::Tensor changed(const Rotation& form, const at::Tensor& base, double strength);
at::Tensor changed(const ButterflyRotation& form, const at::Tensor& base, double strength);
at::Tensor changed(const ColumnRotation& form, const at::Tensor& base, double strength);
at::Tensor changed(const ChannelFactors& form, const at::Tensor& base, double strength);
at::Tensor changed(const GeneralizedLowRank& form, const at::Tensor& base, double strength);

}  // namespace emulsion
