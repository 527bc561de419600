#include "memory/memory_meter.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_account.h"

namespace emulsion {
namespace {

using Account = MemoryMeter::Account;
using ScopeEntry = std::pair<const MeterScope*, Account*>;

// Blocks are freed until the very end of the process, so none of this is ever destroyed.
struct Registry {
  std::mutex mutex;
  std::deque<Account> accounts;
  std::vector<ScopeEntry> scopes;  // open ones that reach worker threads, the last one in charge
};

Registry& registry() {
  static auto* const kept = new Registry;
  return *kept;
}

Account& unmetered() {
  static auto* const kept = new Account;
  return *kept;
}

thread_local Account* of_thread = nullptr;
std::atomic<Account*> of_workers{nullptr};

Account& take_account() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto is_free = [](const Account& account) {
    return !account.owned && account.used.load() == 0;
  };
  const auto found = std::ranges::find_if(all.accounts, is_free);
  Account& account = found == all.accounts.end() ? all.accounts.emplace_back() : *found;
  account.peak = 0;
  account.most = 0;
  account.owned = true;
  return account;
}

// Host memory of work for an accelerator belongs to no meter.
Account& account_for(c10::Device device) { return device.is_cpu() ? take_account() : unmetered(); }

Account& account_of(const MemoryMeter* meter) {
  return meter == nullptr ? unmetered() : meter->account();
}

void add_or_throw(Account& account, Bytes bytes) {
  if (!account.add(bytes))
    throw OutOfMemory(str("mapping ", format_bytes(bytes),
                          " passes the limit: ", format_bytes(account.used.load()), " of ",
                          format_bytes(account.limit.load()), " are in use"));
}

c10::CachingDeviceAllocator::DeviceStats stats_of(c10::Device device) {
  return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
}

constexpr auto kAggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

}  // namespace

MemoryMeter::MemoryMeter(c10::Device device) : device_(device), account_(&account_for(device)) {}

MemoryMeter::~MemoryMeter() {
  if (!device_.is_cpu()) return;
  const std::lock_guard lock(registry().mutex);
  account_->limit = Account::kNoLimit;
  account_->owned = false;
}

void MemoryMeter::set_limit(Bytes limit) {
  if (device_.is_cpu()) account_->limit = limit;
}

void MemoryMeter::expect(Bytes peak) {
  if (device_.is_cpu()) Account::raise(account_->most, peak);
}

Bytes MemoryMeter::used() const {
  if (device_.is_cpu()) return account_->used.load();
  return stats_of(device_).allocated_bytes[kAggregate].current;
}

Bytes MemoryMeter::peak() const {
  if (device_.is_cpu()) return account_->peak.load();
  return stats_of(device_).allocated_bytes[kAggregate].peak;
}

void MemoryMeter::reset_peak() {
  if (device_.is_cpu())
    account_->peak = account_->used.load();
  else
    c10::getDeviceAllocator(device_.type())->resetPeakStats(device_.index());
}

void MemoryMeter::add_mapped(Bytes bytes) {
  if (bytes < 0)
    account_->remove(-bytes);
  else
    add_or_throw(*account_, bytes);
}

MappedShare::MappedShare(const MemoryMeter* meter, Bytes bytes)
    : account_(account_of(meter)), bytes_(bytes) {
  add_or_throw(account_, bytes_);
}

MappedShare::~MappedShare() { account_.remove(bytes_); }

MeterScope::MeterScope(const MemoryMeter& meter, Reach reach)
    : MeterScope(meter.account(), reach) {}

MeterScope::MeterScope(const MemoryMeter* meter, Reach reach)
    : MeterScope(account_of(meter), reach) {}

MeterScope::MeterScope(MemoryMeter::Account& account, Reach reach)
    : before_(of_thread), reach_(reach) {
  if (reach_ == Reach::Workers) {
    const std::lock_guard lock(registry().mutex);
    registry().scopes.emplace_back(this, &account);
    of_workers = &account;
  }
  of_thread = &account;
}

MeterScope::~MeterScope() {
  of_thread = before_;
  if (reach_ == Reach::ThisThread) return;
  std::vector<ScopeEntry>& scopes = registry().scopes;
  const std::lock_guard lock(registry().mutex);
  std::erase_if(scopes, [this](const ScopeEntry& entry) { return entry.first == this; });
  of_workers = scopes.empty() ? nullptr : scopes.back().second;
}

MemoryMeter::Account& account_in_charge() {
  if (of_thread != nullptr) return *of_thread;
  Account* const account = of_workers.load(std::memory_order_relaxed);
  return account != nullptr ? *account : unmetered();
}

Bytes unmetered_bytes() { return unmetered().used.load(); }

void trim_memory(c10::Device device) {
  if (!device.is_cpu()) {
    c10::getDeviceAllocator(device.type())->emptyCache();
    return;
  }
  free_kept_pages();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace emulsion
