#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "emulsion/memory.h"

namespace emulsion {

// Counts what the allocators hand out for one device of a session, so that a peak is measured and
// not computed, and so that a budget holds.  On the CPU a counting allocator stands in for
// LibTorch's own: each block belongs to the meter that was in charge of the thread which asked for
// it, until the block is freed.  Mapped weights, which pass by every allocator, are added.  On an
// accelerator the caching allocator's statistics are read.  [any thread]
class MemoryMeter {
 public:
  // Devices that share a c10::Device (logical ones, the host) have a meter each.
  explicit MemoryMeter(c10::Device device);
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  // An allocation that would pass the limit throws c10::OutOfMemoryError.
  void set_limit(Bytes limit);
  Bytes used() const;
  Bytes peak() const;  // the most since reset_peak()
  void reset_peak();
  // Mapped weights come (and with a negative number go).  Throws OutOfMemory above the limit.
  void add_mapped(Bytes bytes);
  c10::Device device() const;

  struct Account;
  const std::shared_ptr<Account>& account() const { return account_; }

 private:
  std::shared_ptr<Account> account_;  // outlives the meter while blocks of it are in use
};

// Puts a meter in charge of this thread, and of the threads that LibTorch starts for it.
class MeterScope {
 public:
  explicit MeterScope(const MemoryMeter& meter);
  ~MeterScope();
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;

 private:
  std::shared_ptr<MemoryMeter::Account> before_;
};

// Puts the counting allocator in place; later calls do nothing.  [any thread]
void install_memory_meter();

// Gives what malloc and the device's caching allocator keep of freed blocks back to the system.
// [any thread]
void trim_memory(c10::Device device);

}  // namespace emulsion
