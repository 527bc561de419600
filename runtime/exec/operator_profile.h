#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulsion {

// All calls of one operation with tensors of the same shapes.
struct OperatorTimes {
  std::string name;    // as LibTorch has it, "conv2d", or a kernel of ours that says its name
  std::string shapes;  // of its tensors: "[2, 320, 64, 64] [320, 320, 3, 3]"
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  // in all calls, two for a multiply-add; 0 for what is no product
};

// Times the operations that this thread calls while the object lives, those that no other calls.
// Each takes a few microseconds more.  An accelerator's operations are only begun in this time.
// One at a time per thread.  [the thread that made it]
class OperatorProfile {
 public:
  OperatorProfile();
  ~OperatorProfile();
  OperatorProfile(const OperatorProfile&) = delete;
  OperatorProfile& operator=(const OperatorProfile&) = delete;

  const std::vector<OperatorTimes>& operators() const { return operators_; }

 private:
  std::vector<OperatorTimes> operators_;
  std::uint64_t callback_;
};

// Adds `more` to what is in `operators`.
void add_up(std::vector<OperatorTimes>& operators, const std::vector<OperatorTimes>& more);

}  // namespace emulsion
