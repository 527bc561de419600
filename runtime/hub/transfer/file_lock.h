#pragma once

#include <filesystem>
#include <functional>

namespace emulsion {

// Holds a lock file as long as it lives: between processes, and as Python's filelock does, so that
// the hub's own tools wait as well.  Where the file system or the system has no such locks it holds
// nothing.  [one thread]
class FileLock {
 public:
  // Waits as long as somebody else holds it, and asks `keep_waiting` every now and then, which may
  // throw.
  FileLock(const std::filesystem::path& file, const std::function<void()>& keep_waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace emulsion
