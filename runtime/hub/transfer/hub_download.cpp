#include "hub/transfer/hub_download.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/transfer/digest.h"
#include "hub/transfer/file_lock.h"
#include "hub/transfer/hub_client.h"
#include "hub/transfer/part_file.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kAtOnce = 4;  // more gain nothing on one line, and hubs count requests
constexpr std::chrono::milliseconds kLook(100);

bool has_size(const fs::path& path, const HubFile& file) {
  std::error_code unreadable;
  return fs::is_regular_file(path, unreadable) &&
         static_cast<Bytes>(fs::file_size(path, unreadable)) == file.bytes;
}

bool has_hash(const fs::path& path, const HubFile& file, const std::function<void()>& go_on) {
  Digest digest(file.etag, file.bytes);
  digest.add_file(path, go_on);
  return digest.hexadecimal() == file.etag;
}

// All workers of one download, and what they share.
class Download {
 public:
  Download(const HubEnvironment& hub, const HubId& id, const CachedRepository& repository,
           const std::string& commit, const std::vector<HubFile>& files, const PullOptions& options)
      : hub_(hub),
        id_(id),
        repository_(repository),
        commit_(commit),
        files_(files),
        options_(options),
        bytes_done_(files.size()),
        working_(std::min(kAtOnce, files.size())) {}
  ~Download() { stop_ = true; }  // before the workers are waited for
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  void run() {
    for (std::size_t i = working_; i > 0; --i) workers_.emplace_back([this] { work(); });
    std::unique_lock lock(mutex_);
    while (working_ > 0) {
      ended_.wait_for(lock, kLook);
      if (options_.cancelled != nullptr && *options_.cancelled) stop_ = true;
      const std::vector<std::string> lines = std::exchange(lines_, {});
      lock.unlock();
      for (const std::string& line : lines)
        if (options_.tell) options_.tell(line);
      if (files_done_ < files_.size()) report();
      lock.lock();
    }
    if (failure_) std::rethrow_exception(failure_);
    report();
  }

 private:
  void work() {
    try {
      HubClient client(hub_, id_, stop_, [this](const std::string& line) {
        const std::scoped_lock lock(mutex_);
        lines_.push_back(line);
      });
      for (std::size_t i = next_++; i < files_.size(); i = next_++) bring(i, client);
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stop_ = true;
    }
    const std::scoped_lock lock(mutex_);
    --working_;
    ended_.notify_all();
  }

  void go_on() const {
    if (stop_) throw Cancelled("cancelled");
  }

  void bring(std::size_t i, HubClient& client) {
    const HubFile& file = files_[i];
    const FileLock lock(repository_.lock(file.etag), [this] { go_on(); });
    if (!is_there(file)) fetch(i, client);
    bytes_done_[i] = file.bytes;
    ++files_done_;
  }

  bool is_there(const HubFile& file) const {
    if (!is_cached(repository_, commit_, file)) return false;
    if (!options_.verify) return true;
    const fs::path placed = repository_.snapshot(commit_) / file.path;
    const fs::path path = fs::exists(placed) ? placed : repository_.blob(file.etag);
    if (!has_hash(path, file, [this] { go_on(); })) fs::remove(fs::canonical(path));
    return is_cached(repository_, commit_, file);
  }

  void fetch(std::size_t i, HubClient& client) {
    const HubFile& file = files_[i];
    PartFile part(repository_.blob(file.etag), file, [this] { go_on(); });
    const auto on_bytes = [&](Bytes bytes) {
      received_ += std::max<Bytes>(0, bytes - bytes_done_[i]);
      bytes_done_[i] = bytes;
    };
    bytes_done_[i] = part.bytes();
    for (bool again = part.is_resumed();; again = false) {  // what was left may be another file's
      client.download(commit_, file, part, on_bytes);
      const std::string hash = part.commit();
      if (hash.empty()) return;
      if (!again)
        throw WeightError(str("model '", to_text(id_), "': '", file.path, "': expected hash ",
                              file.etag, ", got ", hash,
                              ": it was damaged on the way; pull again"));
    }
  }

  void report() const {
    if (!options_.progress || stop_) return;
    PullProgress at{.files = files_.size(), .files_done = files_done_};
    for (std::size_t i = 0; i < files_.size(); ++i) {
      at.bytes += files_[i].bytes;
      at.bytes_done += bytes_done_[i];
    }
    const std::chrono::duration<double> seconds = Clock::now() - begin_;
    at.bytes_per_second = static_cast<double>(received_) / seconds.count();
    options_.progress(at);
  }

  const HubEnvironment& hub_;
  const HubId& id_;
  const CachedRepository& repository_;
  const std::string& commit_;
  const std::vector<HubFile>& files_;
  const PullOptions& options_;
  const Clock::time_point begin_ = Clock::now();

  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> next_{0}, files_done_{0};
  std::atomic<Bytes> received_{0};
  std::vector<std::atomic<Bytes>> bytes_done_;  // of each file

  std::mutex mutex_;  // of what follows, but for the workers
  std::condition_variable ended_;
  std::size_t working_;
  std::exception_ptr failure_;  // the first one
  std::vector<std::string> lines_;

  std::vector<std::jthread> workers_;  // ends before all that they use
};

}  // namespace

bool is_cached(const CachedRepository& repository, const std::string& commit, const HubFile& file) {
  for (const fs::path& path :
       {repository.snapshot(commit) / file.path, repository.blob(file.etag)}) {
    if (has_size(path, file)) return true;
    fs::remove(path);
  }
  return false;
}

void download_files(const HubEnvironment& hub, const HubId& id, const CachedRepository& repository,
                    const std::string& commit, std::vector<HubFile> files,
                    const PullOptions& options) {
  std::ranges::sort(files, std::greater(), &HubFile::bytes);  // no large one is left for the end
  Download(hub, id, repository, commit, files, options).run();
}

}  // namespace emulsion
