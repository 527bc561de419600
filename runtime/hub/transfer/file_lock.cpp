#include "hub/transfer/file_lock.h"

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

namespace emulsion {
namespace {

constexpr auto kPause = std::chrono::milliseconds(50);
constexpr mode_t kForGroup = 0664;  // who shares a cache must be able to wait

int open_file(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kForGroup);
  if (descriptor < 0)
    throw std::filesystem::filesystem_error("cannot be opened", file,
                                            std::error_code(errno, std::generic_category()));
  return descriptor;
}

// Who held the lock may have removed the file: another one would be locked by the next.
bool is_removed(int descriptor) {
  struct stat found = {};
  return fstat(descriptor, &found) != 0 || found.st_nlink == 0;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file, const std::function<void()>& keep_waiting)
    : descriptor_(open_file(file)) {
  try {
    for (;;) {
      if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
        if (!is_removed(descriptor_)) return;
        close(descriptor_);
        descriptor_ = open_file(file);
      } else if (errno != EWOULDBLOCK && errno != EINTR) {
        return;  // a file system without locks
      } else {
        keep_waiting();
        std::this_thread::sleep_for(kPause);
      }
    }
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace emulsion
#else
namespace emulsion {

FileLock::FileLock(const std::filesystem::path&, const std::function<void()>&) {}
FileLock::~FileLock() = default;

}  // namespace emulsion
#endif
