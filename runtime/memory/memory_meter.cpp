#include "exec/memory_meter.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>

#include <cstdlib>
#endif

#include "weights/weight_store.h"

namespace emulsion {
namespace {

std::atomic<Bytes> used{0}, peak{0};

// In front of each block stand the bytes that were asked for, so that what is counted is what
// was planned, and not how malloc rounds it.
constexpr std::size_t kFront = c10::gAlignment;

void count(Bytes bytes) {
  const Bytes now = used.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  Bytes seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

#if defined(__linux__)
// Maps of a picture come and go by the hundred MiB, and each time the system has to find and clear
// their pages: in pages of 2 MiB that takes a fraction of the time.
constexpr std::size_t kHugePage = 2 << 20;

void* allocate_block(std::size_t bytes) {
  if (bytes < 2 * kHugePage) return c10::alloc_cpu(bytes);
  void* block = nullptr;
  if (posix_memalign(&block, kHugePage, bytes) != 0) return c10::alloc_cpu(bytes);
  madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return block;
}
#else
void* allocate_block(std::size_t bytes) { return c10::alloc_cpu(bytes); }
#endif

void free_block(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<std::byte*>(data) - kFront;
  std::size_t bytes = 0;
  std::memcpy(&bytes, block, sizeof(bytes));
  count(-static_cast<Bytes>(bytes));
  c10::free_cpu(block);
}

class MeteredAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &free_block, cpu};
    void* block = allocate_block(bytes + kFront);
    std::memcpy(block, &bytes, sizeof(bytes));
    count(static_cast<Bytes>(bytes));
    void* data = static_cast<std::byte*>(block) + kFront;
    return {data, data, &free_block, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

c10::CachingDeviceAllocator::DeviceStats stats_of(c10::Device device) {
  return at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
}

constexpr auto kAggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

}  // namespace

void install_memory_meter() {
  static MeteredAllocator allocator;
  // The highest priority: an allocator that another library sets later does not replace it.
  [[maybe_unused]] static const bool installed =
      (c10::SetCPUAllocator(&allocator, /*priority=*/100), true);
}

Bytes used_bytes(c10::Device device) {
  if (device.is_cpu()) return used.load() + mapped_bytes();
  return stats_of(device).allocated_bytes[kAggregate].current;
}

Bytes peak_bytes(c10::Device device) {
  if (device.is_cpu()) return peak.load() + mapped_bytes();
  return stats_of(device).allocated_bytes[kAggregate].peak;
}

void reset_peak(c10::Device device) {
  if (device.is_cpu())
    peak.store(used.load());
  else
    at::getDeviceAllocator(device.type())->resetPeakStats(device.index());
}

void trim_host_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace emulsion
