#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <optional>

// Order between the queues of work of an accelerator (streams, in LibTorch).  On a CPU work is done
// when its call returns, and none of this does anything.
namespace emulsion {

// The end of the work that this thread has given to a device so far.  [one thread at a time]
class WorkMark {
 public:
  WorkMark() = default;  // nothing to wait for
  explicit WorkMark(c10::Device device);

  void wait() const;       // this thread waits
  void hold_work() const;  // work that this thread gives to the device from now on waits

 private:
  std::optional<c10::Event> event_;
};

// A queue for copies, beside the one that runs compute in.
std::optional<c10::Stream> side_queue(c10::Device device);

}  // namespace emulsion
