#include "hub/transfer/patience.h"

#include <algorithm>
#include <thread>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostWaits = 4;
constexpr std::chrono::milliseconds kFirstWait(400), kLook(50);
constexpr long kLongestAsked = 300;  // seconds; nobody sits before a screen for longer

}  // namespace

bool Patience::wait(long asked, const std::string& why) {
  if (waits_ >= kMostWaits || asked > kLongestAsked) return false;
  const auto own = kFirstWait * (1 << waits_++);
  const auto pause = std::max<Clock::duration>(own, std::chrono::seconds(asked));
  if (asked > 0) tell_(str(why, "; going on in ", asked, " s"));
  for (const auto end = Clock::now() + pause; Clock::now() < end;) {
    if (stop_) throw Cancelled("cancelled");
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace emulsion
