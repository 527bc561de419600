#include "weights/weight_stream.h"

#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>

#include <algorithm>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {

BlockStream::BlockStream(std::string place, std::unique_ptr<const WeightSource> source,
                         std::vector<std::vector<std::string>> blocks, c10::Device device,
                         bool prefetch)
    : place_(std::move(place)),
      source_(std::move(source)),
      blocks_(std::move(blocks)),
      device_(device),
      queue_(side_queue(device)),
      prefetch_(prefetch && blocks_.size() > 1) {
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    for (const std::string& name : blocks_[i]) blocks_of_[name].push_back(i);
}

BlockStream::~BlockStream() {
  try {
    let_go(tensors_, WorkMark(device_));
  } catch (const c10::Error&) {  // the device is lost, and its work with it
  }
}

at::Tensor BlockStream::fetch(const std::string& name) {
  const std::size_t block = block_of(name);
  if (block != current_) switch_to(block);
  return tensors_.find(name)->second;
}

// The current block if the tensor is in it, else the first one after it.
std::size_t BlockStream::block_of(const std::string& name) const {
  const auto found = blocks_of_.find(name);
  if (found == blocks_of_.end())
    throw WeightError(str(place_, ": tensor '", name,
                          "' was left in the file: expected one that the node's forecast asks "
                          "for; ask for the same tensors in forecast and run"));
  const std::size_t from = current_ == kNone ? 0 : current_, count = blocks_.size();
  return *std::ranges::min_element(
      found->second, {}, [&](std::size_t block) { return (block + count - from) % count; });
}

void BlockStream::switch_to(std::size_t block) {
  Block arrived;
  if (next_ == block && prefetched_.valid()) {
    arrived = prefetched_.get();
  } else {
    if (prefetched_.valid()) {
      prefetched_.wait();
      prefetched_ = {};
    }
    current_ = kNone;
    let_go(tensors_, WorkMark(device_));
    arrived = read(block, Pace::AllThreads);
  }
  arrived.copied.hold_work();
  Bundle left = std::exchange(tensors_, std::move(arrived.tensors));
  current_ = block;
  if (prefetch_)
    begin_to_read((block + 1) % blocks_.size(), std::move(left));
  else
    let_go(left, WorkMark(device_));
}

BlockStream::Block BlockStream::read(std::size_t block, Pace pace) const {
  const c10::InferenceMode no_autograd;
  const c10::OptionalStreamGuard copies(queue_);
  const std::string what = str(place_, ": block ", block + 1, " of ", blocks_.size());
  Bundle tensors = read_or_explain(*source_, what, blocks_[block], Stay::Passing, pace);
  return {std::move(tensors), WorkMark(device_)};
}

void BlockStream::begin_to_read(std::size_t block, Bundle left) {
  next_ = block;
  prefetched_ = std::async(std::launch::async, [this, block, left = std::move(left),
                                                used = WorkMark(device_)]() mutable {
    let_go(left, used);
    return read(block, Pace::OneThread);
  });
}

void BlockStream::let_go(Bundle& left, const WorkMark& used) {
  if (!left.empty()) used.wait();
  left.clear();
}

}  // namespace emulsion
