#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>

#include <cstdlib>
#endif

#include "emulsion/str.h"
#include "memory/kept_blocks.h"
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
constexpr std::size_t kHugePage = 2 << 20, kLeastKept = 2 * kHugePage;

// Blocks are freed until the very end of the process.
KeptBlocks& kept_blocks() {
  static auto* const kept = new KeptBlocks(&c10::free_cpu);
  return *kept;
}

void* new_block(std::size_t size) {
#if defined(__linux__)
  void* block = nullptr;
  if (size >= kLeastKept && posix_memalign(&block, kHugePage, size) == 0) {
    madvise(block, size, MADV_HUGEPAGE);
    return block;
  }
#endif
  return c10::alloc_cpu(size);
}

KeptBlocks::Block allocate_block(std::size_t bytes, const Account& account) {
  if (bytes < kLeastKept) return {new_block(bytes), bytes};
  const std::size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  const KeptBlocks::Block kept = kept_blocks().take(size);
  if (kept.data != nullptr) return kept;
  kept_blocks().shrink(account.room());
  return {new_block(size), size};
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
    const KeptBlocks::Block block = allocate_block(size + kFront, account);
    new (block.data) Front{bytes, &account, block.size};
    return static_cast<std::byte*>(block.data) + kFront;
  } catch (const c10::Error& fault) {  // the system has no more
    account.remove(bytes);
    TORCH_CHECK_WITH(OutOfMemoryError, false, fault.what_without_backtrace());
  }
}

void free_block(void* data) {
  if (data == nullptr) return;
  void* const block = static_cast<std::byte*>(data) - kFront;
  const Front front = *static_cast<Front*>(block);
  front.account->remove(front.bytes);
  if (front.size >= kLeastKept)
    kept_blocks().keep({block, front.size}, front.account->room());
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

void free_kept_blocks() { kept_blocks().shrink(0); }

void install_memory_meter() {
  static MeteredAllocator allocator;
  // The highest priority: an allocator that another library sets later does not replace it.
  [[maybe_unused]] static const bool installed =
      (c10::SetCPUAllocator(&allocator, /*priority=*/100), true);
}

}  // namespace emulsion
