#pragma once

#include <c10/core/Device.h>

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

  // An allocation that would pass the limit throws c10::OutOfMemoryError and counts nothing.
  // LibTorch has no call that sets a limit on any accelerator: there this does nothing.
  void set_limit(Bytes limit);
  // The peak of a plan: on a CPU, pages that are freed are kept for what comes up to that much.
  void expect(Bytes peak);
  Bytes used() const;
  Bytes peak() const;  // the most since reset_peak()
  void reset_peak();
  // Mapped weights come (and with a negative number go).  Throws OutOfMemory above the limit.
  void add_mapped(Bytes bytes);
  c10::Device device() const { return device_; }

  struct Account;
  // Stays valid until the process ends, whether or not the meter lives.
  Account& account() const { return *account_; }

 private:
  c10::Device device_;
  Account* account_;
};

// A mapped tensor's share of a meter for as long as this lives, which may be longer than the meter.
class MappedShare {
 public:
  // A null meter stands for what belongs to none.  Throws OutOfMemory above the limit.
  MappedShare(const MemoryMeter* meter, Bytes bytes);
  ~MappedShare();
  MappedShare(const MappedShare&) = delete;
  MappedShare& operator=(const MappedShare&) = delete;

 private:
  MemoryMeter::Account& account_;
  Bytes bytes_;
};

// Puts a meter in charge of this thread, and of threads without a scope, such as those that
// LibTorch starts for its loops: these follow the scope that was opened last.  The meter outlives
// the scope; scopes of one thread end in the reverse order.
class MeterScope {
 public:
  enum class Reach { Workers, ThisThread };  // ThisThread: for work beside the run

  explicit MeterScope(const MemoryMeter& meter, Reach reach = Reach::Workers);
  // A null meter stands for what belongs to none.
  explicit MeterScope(const MemoryMeter* meter, Reach reach = Reach::Workers);
  ~MeterScope();
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;

 private:
  MeterScope(MemoryMeter::Account& account, Reach reach);

  MemoryMeter::Account* before_;
  Reach reach_;
};

// What belongs to no meter: allocations outside of all scopes, and weights that were loaded without
// a meter.  Host memory of work for an accelerator counts here, too.
Bytes unmetered_bytes();

// Puts the counting allocator in place; later calls do nothing.  [any thread]
void install_memory_meter();

// Gives what malloc and the device's caching allocator keep of freed blocks back to the system.
// [any thread]
void trim_memory(c10::Device device);

}  // namespace emulsion
