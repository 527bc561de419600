#pragma once

#include <cstddef>
#include <vector>

#include "emulsion/memory.h"

namespace emulsion {

// A way to hold the weights of a component that can come block by block.
struct StreamLevel {
  Bytes held = 0;        // at most at any moment: what lasts, and the window of blocks
  Bytes streamed = 0;    // passes to the device in one pass through the blocks
  bool prefetch = true;  // the window is a block and the next one, else one block
  std::vector<std::size_t> blocks = {};  // that come and go, in order; none: everything stays

  bool operator==(const StreamLevel&) const = default;
};

// The ways that are worth a thought, with prefetch or without: each holds less than the one before
// it, and streams more.  The first holds everything.  [any thread]
std::vector<StreamLevel> stream_levels(Bytes bytes, const std::vector<Bytes>& blocks,
                                       bool prefetch);

}  // namespace emulsion
