#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

namespace emulsion {

// How often and when to ask a server again.  [one thread]
class Patience {
 public:
  // `tell` hears of long waits.  `stop` ends a wait with Cancelled.
  Patience(const std::atomic<bool>& stop, std::function<void(const std::string&)> tell)
      : stop_(stop), tell_(std::move(tell)) {}

  void renew() { waits_ = 0; }  // something came: the server works
  // Waits: twice as long each time, or as long as the server asks for, in seconds (-1: it does
  // not). Gives false at once where it is time to give up.
  bool wait(long asked, const std::string& why);

 private:
  const std::atomic<bool>& stop_;
  std::function<void(const std::string&)> tell_;
  int waits_ = 0;
};

}  // namespace emulsion
