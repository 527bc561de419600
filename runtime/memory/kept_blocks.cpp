#include "memory/kept_blocks.h"

namespace emulsion {

KeptBlocks::Block KeptBlocks::take(std::size_t size) {
  const std::lock_guard lock(mutex_);
  auto best = blocks_.end();
  for (auto it = blocks_.begin(); it != blocks_.end(); ++it)
    if (it->size >= size && it->size - size <= size / 8 &&
        (best == blocks_.end() || it->size < best->size))
      best = it;
  if (best == blocks_.end()) return {nullptr, 0};
  const Block block = *best;
  blocks_.erase(best);
  bytes_ -= static_cast<Bytes>(block.size);
  return block;
}

void KeptBlocks::keep(const Block& block, Bytes room) {
  const std::lock_guard lock(mutex_);
  blocks_.push_back(block);
  bytes_ += static_cast<Bytes>(block.size);
  shrink_locked(room);
}

void KeptBlocks::shrink(Bytes room) {
  const std::lock_guard lock(mutex_);
  shrink_locked(room);
}

Bytes KeptBlocks::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void KeptBlocks::shrink_locked(Bytes room) {
  while (bytes_ > room && !blocks_.empty()) {
    const Block block = blocks_.front();
    blocks_.pop_front();
    bytes_ -= static_cast<Bytes>(block.size);
    free_(block.data);
  }
}

}  // namespace emulsion
