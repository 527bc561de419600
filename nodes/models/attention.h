#pragma once

#include <cstdint>
#include <string>

#include "kernels/attention.h"
#include "models/layers.h"

namespace emulsion::models {

using kernels::attention;
using kernels::Mask;

// What is attended to.
struct Attended {
  at::Tensor states;  // [P, S, D]: each for B / P samples in a row, a whole number
  // What layers made of these states is taken from here by their names, or put here.  null: it is
  // made each time
  Bundle* made = nullptr;

  Attended(at::Tensor of, Bundle* made_before = nullptr)
      : states(std::move(of)), made(made_before) {}
  // What the layer makes of the states: [B, S, width]
  at::Tensor through(const Linear& layer, const std::string& name, std::int64_t batch) const;
};

// Projects to queries, keys and values, attends, and projects back.
struct Attention {
  // Names of the four layers below the block's scope: checkpoints differ.
  struct Names {
    const char *q, *k, *v, *out;
  };
  struct Shape {
    std::int64_t width = 0;          // D of what asks
    std::int64_t context_width = 0;  // D of what is attended to
    std::int64_t heads = 1;
    bool input_bias = false;  // of q, k and v; the output always has one
  };

  std::string name;  // of its scope
  std::int64_t heads;
  Linear q, k, v, out;

  Attention(const WeightView& w, const Names& names, const Shape& shape);
  // x [B, L, width], context of context_width -> [B, L, width]
  at::Tensor operator()(const at::Tensor& x, const Attended& context, Mask mask = Mask::None) const;
  // Adds that to y.
  void add_to_(at::Tensor& y, const at::Tensor& x, const Attended& context) const;

 private:
  at::Tensor attended(const at::Tensor& x, const Attended& context, Mask mask) const;
};

}  // namespace emulsion::models
