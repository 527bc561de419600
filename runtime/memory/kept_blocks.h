#pragma once

#include <cstddef>
#include <list>
#include <mutex>

#include "emulsion/memory.h"

namespace emulsion {

// Freed blocks that the next allocations of their size take over, with the pages that they have:
// to find and clear pages for maps that come and go costs several percent of a denoising step.
// [any thread]
class KeptBlocks {
 public:
  struct Block {
    void* data;
    std::size_t size;
  };
  using Free = void (*)(void* data);

  explicit KeptBlocks(Free free) : free_(free) {}

  // The smallest one that `size` fits into without leaving an eighth of it unused; else none.
  Block take(std::size_t size);
  // Keeps one for later, and frees those that were kept longest until no more than `room` is kept.
  void keep(const Block& block, Bytes room);
  void shrink(Bytes room);
  Bytes bytes() const;

 private:
  void shrink_locked(Bytes room);

  Free free_;
  mutable std::mutex mutex_;
  std::list<Block> blocks_;  // the one kept longest first
  Bytes bytes_ = 0;
};

}  // namespace emulsion
