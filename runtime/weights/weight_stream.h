#pragma once

#include <c10/core/Device.h>

#include <cstddef>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weights/device_queue.h"
#include "weights/weight_source.h"

namespace emulsion {

// Brings blocks of tensors, one after the other and after the last one the first again.  While one
// is worked with the next one is read in the background: two are in memory at a time, and without
// prefetch one.  A block leaves memory when a tensor of another one is asked for and the work that
// the device was given until then is done.  [run thread]
class BlockStream final : public WeightStream {
 public:
  // Each tensor of `blocks` is one of the source's, which may be null where there are none.
  BlockStream(std::string place, std::unique_ptr<const WeightSource> source,
              std::vector<std::vector<std::string>> blocks, c10::Device device, bool prefetch);
  ~BlockStream() override;

  // Throws WeightError when the tensor is in no block or the file has changed, OutOfMemory, also
  // what went wrong in the background.  The next call tries again.
  at::Tensor fetch(const std::string& name) override;

 private:
  struct Block {
    Bundle tensors;
    WorkMark copied;  // the copies to the device
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t block_of(const std::string& name) const;
  void switch_to(std::size_t block);
  Block read(std::size_t block, Pace pace) const;
  void begin_to_read(std::size_t block, Bundle left);
  static void let_go(Bundle& left, const WorkMark& used);

  std::string place_;
  std::unique_ptr<const WeightSource> source_;
  std::vector<std::vector<std::string>> blocks_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> blocks_of_;  // by tensor
  c10::Device device_;
  std::optional<c10::Stream> queue_;  // for copies to an accelerator
  bool prefetch_;
  std::size_t current_ = kNone, next_ = kNone;
  Bundle tensors_;                 // of the current block
  std::future<Block> prefetched_;  // the block next_; its end waits for the thread, so it is last
};

}  // namespace emulsion
