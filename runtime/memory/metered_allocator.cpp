#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "emulsion/str.h"
#include "memory/kept_pages.h"
#include "memory/memory_account.h"

namespace emulsion {
namespace {

using Account = MemoryMeter::Account;

// Stands in front of each block: the bytes that were asked for, so that what is counted is what was
// planned, and not how malloc rounds it, whose they are, and what the block has.
struct Front {
  Bytes bytes;
  Account* account;
  std::size_t size;
};
constexpr std::size_t kFront = c10::gAlignment;
static_assert(sizeof(Front) <= kFront);

// Maps of a picture come and go by the hundred MiB, and each time the system has to find and clear
// their pages: in pages of 2 MiB that takes a fraction of the time, and none where they are kept.
constexpr std::size_t kHugePage = 2 << 20;

#if defined(__linux__)
constexpr std::size_t kLeastKept = 2 * kHugePage;

void release_pages(std::byte* first, std::size_t size) { munmap(first, size); }

// Of whole huge pages, or null.
std::byte* new_pages(std::size_t size) {
  void* const mapped =
      mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const all = static_cast<std::byte*>(mapped);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(mapped) % kHugePage;
  if (before > 0) release_pages(all, before);
  if (before < kHugePage) release_pages(all + before + size, kHugePage - before);
  madvise(all + before, size, MADV_HUGEPAGE);
  return all + before;
}
#else
constexpr std::size_t kLeastKept = std::numeric_limits<std::size_t>::max();

void release_pages(std::byte* /*first*/, std::size_t /*size*/) {}
std::byte* new_pages(std::size_t /*size*/) { return nullptr; }
#endif

// Blocks are freed until the very end of the process.
KeptPages& kept_pages() {
  static auto* const kept = new KeptPages(kHugePage, &release_pages);
  return *kept;
}

struct Block {
  std::byte* data;
  std::size_t size;
};

Block allocate_block(std::size_t bytes, const Account& account) {
  if (bytes < kLeastKept) return {static_cast<std::byte*>(c10::alloc_cpu(bytes)), bytes};
  const std::size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  std::byte* data = kept_pages().take(size);
  if (data == nullptr) {
    kept_pages().shrink(account.room());
    data = new_pages(size);
  }
  TORCH_CHECK_WITH(OutOfMemoryError, data != nullptr, "the system has no more memory");
  return {data, size};
}

[[noreturn]] void throw_out_of_memory(const Account& account, Bytes bytes) {
  const std::string used = format_bytes(account.used.load()),
                    limit = format_bytes(account.limit.load());
  TORCH_CHECK_WITH(OutOfMemoryError, false,
                   str("asked for ", format_bytes(bytes), ", which passes the limit: ", used,
                       " of ", limit, " are in use"));
}

void* counted_block(std::size_t size) {
  Account& account = account_in_charge();
  const auto bytes = static_cast<Bytes>(size);
  if (!account.add(bytes)) throw_out_of_memory(account, bytes);
  try {
    const Block block = allocate_block(size + kFront, account);
    new (block.data) Front{bytes, &account, block.size};
    return block.data + kFront;
  } catch (const c10::Error& fault) {  // the system has no more
    account.remove(bytes);
    TORCH_CHECK_WITH(OutOfMemoryError, false, fault.what_without_backtrace());
  }
}

void free_block(void* data) {
  if (data == nullptr) return;
  std::byte* const block = static_cast<std::byte*>(data) - kFront;
  const Front front = *reinterpret_cast<Front*>(block);
  front.account->remove(front.bytes);
  if (front.size >= kLeastKept)
    kept_pages().keep(block, front.size, front.account->room());
  else
    c10::free_cpu(block);
}

class MeteredAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* const data = bytes == 0 ? nullptr : counted_block(bytes);
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void free_kept_pages() { kept_pages().shrink(0); }

namespace {

// Blocks below the least that is kept come and go as often; malloc would give the pages of each
// back to the system, since it learns from the larger ones, which do not pass through it, not to do
// so.
void keep_pages_in_malloc() {
#if defined(__GLIBC__)
  constexpr int kMostKept = 64 << 20;
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(2 * kHugePage));
  mallopt(M_TRIM_THRESHOLD, kMostKept);
#endif
}

}  // namespace

void install_memory_meter() {
  static MeteredAllocator allocator;
  // The highest priority: an allocator that another library sets later does not replace it.
  [[maybe_unused]] static const bool installed =
      (keep_pages_in_malloc(), c10::SetCPUAllocator(&allocator, /*priority=*/100), true);
}

}  // namespace emulsion
