#include "weights/device_queue.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace emulsion {
namespace {

c10::Stream current_queue(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

WorkMark::WorkMark(c10::Device device) {
  if (device.is_cpu()) return;
  event_.emplace(device.type());
  event_->record(current_queue(device));
}

void WorkMark::wait() const {
  if (event_) event_->synchronize();
}

void WorkMark::hold_work() const {
  if (event_) event_->block(current_queue(event_->device()));
}

std::optional<c10::Stream> side_queue(c10::Device device) {
  if (device.is_cpu()) return std::nullopt;
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

}  // namespace emulsion
