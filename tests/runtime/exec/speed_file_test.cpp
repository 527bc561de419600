#include "exec/speed_file.h"

#include "check.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/given_speeds.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / str("emulsion_speed_file_", getpid());
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

const DeviceBudget kCpu{.name = "cpu"};

// Counts its calls, and is faster each time.
struct Measure {
  int* calls;
  DeviceSpeed operator()(c10::Device, const fs::path&) const {
    DeviceSpeed speed = typical_speeds().at("cpu");
    speed.map = 1000.0 * ++*calls;
    return speed;
  }
};

fs::path only_file(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  REQUIRE(files.size() == 1);
  return files[0];
}

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

}  // namespace

TEST_CASE("a device is measured once, with a line that says so and where it is kept") {
  const Folder folder;
  int calls = 0;
  std::vector<std::string> lines;
  const Notice notice = [&](const std::string& line) { lines.push_back(line); };
  SpeedStore first(folder.path, Measure{&calls}), second(folder.path, Measure{&calls});
  CHECK(first.speed(kCpu, notice).map == 1000);
  CHECK(first.speed(kCpu, notice).map == 1000);
  CHECK(second.speed(kCpu, notice).map == 1000);
  CHECK(calls == 1);
  CHECK(lines == std::vector{str("measuring the speed of cpu once, about 3 s; kept in ",
                                 only_file(folder.path).string())});
}

TEST_CASE("a file that is damaged is measured anew and replaced") {
  const Folder folder;
  int calls = 0;
  SpeedStore(folder.path, Measure{&calls}).speed(kCpu, {});
  write(only_file(folder.path), "{\"emulsion_speeds\": 1");
  CHECK(SpeedStore(folder.path, Measure{&calls}).speed(kCpu, {}).map == 2000);
  CHECK(SpeedStore(folder.path, Measure{&calls}).speed(kCpu, {}).map == 2000);
}

TEST_CASE("a folder that cannot be written keeps the speeds for the process") {
  const Folder folder;
  write(folder.path, "a file where the folder would be");
  int calls = 0;
  SpeedStore store(folder.path / "emulsion", Measure{&calls});
  std::string told;
  CHECK(store.speed(kCpu, [&](const std::string& line) { told = line; }).map == 1000);
  CHECK(store.speed(kCpu, {}).map == 1000);
  CHECK(calls == 1);
  CHECK(told == "measuring the speed of cpu once, about 3 s; there is no folder to keep it in");
}

TEST_CASE("measuring again replaces what is known") {
  const Folder folder;
  int calls = 0;
  SpeedStore store(folder.path, Measure{&calls});
  store.speed(kCpu, {});
  CHECK(store.measure_again(kCpu, {}).map == 2000);
  CHECK(store.speed(kCpu, {}).map == 2000);
  CHECK(SpeedStore(folder.path, Measure{&calls}).speed(kCpu, {}).map == 2000);
}

TEST_CASE("a file that the environment names is taken as it is") {
  const Folder folder;
  fs::create_directories(folder.path);
  const fs::path file = folder.path / "mine.json";
  DeviceSpeed speed = typical_speeds().at("cpu");
  speed.read = 12345;
  write(file, to_json(SpeedTable{{"cpu", speed}}));
  const fakes::GivenSpeeds given(file);
  const SpeedTable table = speeds_for({{.name = "sim:a", .simulated = true}, kCpu}, {});
  CHECK(table.at("cpu").read == 12345);
  // Simulated: typical, and what is read comes through this host.
  CHECK(table.at("sim").from_host == typical_speeds().at("sim").from_host);
  CHECK(1 / table.at("sim").read == doctest::Approx(1 / speed.map + 1 / table.at("sim").from_host));
  write(file, "[]");
  CHECK_THROWS_AS(speeds_for({kCpu}, {}), PlanError);
  fs::remove(file);
  CHECK_THROWS_AS(speeds_for({kCpu}, {}), PlanError);
}
