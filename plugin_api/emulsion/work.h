#pragma once

namespace emulsion {

// What one run of a node computes, for predicting how long it takes: what is counted here, divided
// by what a device does in a second.
struct Work {
  double convolution = 0;  // floating-point operations in convolutions, two for a multiply-add
  double product = 0;      // the same in matrix products, attention's apart
  double attention = 0;    // the same in attention's two products
  double traffic = 0;      // bytes that all else reads and writes: norms, activations, copies

  Work& operator+=(const Work& other) {
    convolution += other.convolution;
    product += other.product;
    attention += other.attention;
    traffic += other.traffic;
    return *this;
  }
};

}  // namespace emulsion
