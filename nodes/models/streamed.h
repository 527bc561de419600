#pragma once

#include <functional>
#include <utility>

#include "emulsion/weights.h"

namespace emulsion::models {

// A part of a model that is built when the work reaches it and dropped behind it, so that its
// weights need be in memory only meanwhile.  Its tensors are a block of their own.
// Parts are to be used in the order in which they were constructed, and one is to be gone before
// the next is built.  [one thread at a time for all parts of a view]
template <class Part>
class Streamed {
 public:
  template <class... Arguments>
  explicit Streamed(const WeightView& w, Arguments... arguments)
      : build_(
            [view = w.block(), ... kept = std::move(arguments)] { return Part(view, kept...); }) {
    if (w.header_only()) build_();  // names and shapes are checked before the run
  }

  Part operator()() const { return build_(); }

 private:
  std::function<Part()> build_;
};

}  // namespace emulsion::models
