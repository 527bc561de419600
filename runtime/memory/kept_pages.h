#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include "emulsion/memory.h"

namespace emulsion {

// Freed memory that the next allocations take over, with the pages that it has: to find and clear
// pages for maps that come and go costs several percent of a denoising step, and more of a decode.
// What lies side by side becomes one, and what is too large is cut, so that maps of another size
// find room too.  [any thread]
class KeptPages {
 public:
  using Release = void (*)(std::byte* first, std::size_t size);  // of a part of what was kept

  // Sizes and places of what is kept are multiples of `unit`.
  KeptPages(std::size_t unit, Release release) : unit_(unit), release_(release) {}

  // The beginning of the smallest range that has `size` bytes; null if there is none.
  std::byte* take(std::size_t size);
  // Keeps a range for later, and releases what passes `room`, of the smallest ranges first.
  void keep(std::byte* first, std::size_t size, Bytes room);
  void shrink(Bytes room);
  Bytes bytes() const;

 private:
  void insert(std::byte* first, std::size_t size);
  void shrink_locked(Bytes room);

  std::size_t unit_;
  Release release_;
  mutable std::mutex mutex_;
  std::map<std::byte*, std::size_t> ranges_;  // none touches the next
  Bytes bytes_ = 0;
};

}  // namespace emulsion
