#include "weights/file_identity.h"

#include <system_error>
#if defined(__unix__)
#include <sys/stat.h>
#endif

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// A file that is replaced within one tick of the clock has another inode.
std::string place_on_disk([[maybe_unused]] const fs::path& file) {
#if defined(__unix__)
  struct stat found = {};
  if (stat(file.c_str(), &found) == 0) return str("inode ", found.st_dev, ":", found.st_ino);
#endif
  return "";
}

}  // namespace

FileIdentity identity_of(const fs::path& file) {
  std::error_code unreadable;
  const fs::path canonical = fs::canonical(file, unreadable);
  const std::uintmax_t bytes = unreadable ? 0 : fs::file_size(canonical, unreadable);
  const auto changed =
      unreadable ? fs::file_time_type() : fs::last_write_time(canonical, unreadable);
  if (unreadable) throw WeightError(str(file.string(), ": ", unreadable.message()));
  return {bytes, str(canonical.string(), " ", bytes, " bytes, time ",
                     changed.time_since_epoch().count(), " ", place_on_disk(canonical))};
}

void expect_unchanged(const fs::path& file, const FileIdentity& opened) {
  const FileIdentity now = identity_of(file);
  if (now == opened) return;
  throw WeightError(str(file.string(), ": has changed since it was opened: expected the file of ",
                        opened.bytes, " bytes, got a newer one of ", now.bytes, "; start again"));
}

}  // namespace emulsion
