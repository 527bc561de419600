#include "memory/kept_pages.h"

#include <algorithm>

namespace emulsion {
namespace {

bool is_smaller(const auto& a, const auto& b) { return a.second < b.second; }

}  // namespace

std::byte* KeptPages::take(std::size_t size) {
  const std::lock_guard lock(mutex_);
  auto best = ranges_.end();
  for (auto it = ranges_.begin(); it != ranges_.end(); ++it)
    if (it->second >= size && (best == ranges_.end() || is_smaller(*it, *best))) best = it;
  if (best == ranges_.end()) return nullptr;
  const auto [first, all] = *best;
  ranges_.erase(best);
  if (all > size) ranges_.emplace(first + size, all - size);
  bytes_ -= static_cast<Bytes>(size);
  return first;
}

void KeptPages::keep(std::byte* first, std::size_t size, Bytes room) {
  const std::lock_guard lock(mutex_);
  insert(first, size);
  bytes_ += static_cast<Bytes>(size);
  shrink_locked(room);
}

void KeptPages::shrink(Bytes room) {
  const std::lock_guard lock(mutex_);
  shrink_locked(room);
}

Bytes KeptPages::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void KeptPages::insert(std::byte* first, std::size_t size) {
  const auto after = ranges_.lower_bound(first);
  if (after != ranges_.end() && first + size == after->first) {
    size += after->second;
    ranges_.erase(after);
  }
  const auto next = ranges_.lower_bound(first);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == first) {
      before->second += size;
      return;
    }
  }
  ranges_.emplace(first, size);
}

void KeptPages::shrink_locked(Bytes room) {
  while (bytes_ > room && !ranges_.empty()) {
    const auto least = std::ranges::min_element(
        ranges_, [](const auto& a, const auto& b) { return is_smaller(a, b); });
    const auto excess = static_cast<std::size_t>(bytes_ - std::max<Bytes>(room, 0));
    const std::size_t size = std::min(least->second, (excess + unit_ - 1) / unit_ * unit_);
    least->second -= size;
    bytes_ -= static_cast<Bytes>(size);
    release_(least->first + least->second, size);
    if (least->second == 0) ranges_.erase(least);
  }
}

}  // namespace emulsion
