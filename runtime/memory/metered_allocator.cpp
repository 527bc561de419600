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
#include "memory/memory_account.h"

namespace emulsion {
namespace {

using Account = MemoryMeter::Account;

// Stands in front of each block: the bytes that were asked for, so that what is counted is what was
// planned, and not how malloc rounds it, and whose they are.
struct Front {
  Bytes bytes;
  Account* account;
};
constexpr std::size_t kFront = c10::gAlignment;
static_assert(sizeof(Front) <= kFront);

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
    void* const block = allocate_block(size + kFront);
    new (block) Front{bytes, &account};
    return static_cast<std::byte*>(block) + kFront;
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

void install_memory_meter() {
  static MeteredAllocator allocator;
  // The highest priority: an allocator that another library sets later does not replace it.
  [[maybe_unused]] static const bool installed =
      (c10::SetCPUAllocator(&allocator, /*priority=*/100), true);
}

}  // namespace emulsion
