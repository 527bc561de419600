#include "plan/speed.h"

#include "check.h"

#include "emulsion/errors.h"

using namespace emulsion;

namespace {

constexpr auto kF32 = c10::ScalarType::Float;
constexpr auto kF16 = c10::ScalarType::Half;
constexpr auto kBF16 = c10::ScalarType::BFloat16;

DeviceSpeed some_speed(double scale) {
  return {.compute = {{kF32, {10 * scale, 20 * scale, 40 * scale, 80 * scale}},
                      {kBF16, {20 * scale, 40 * scale, 80 * scale, 160 * scale}}},
          .map = 5 * scale,
          .read = 4 * scale,
          .convert = 3 * scale,
          .from_host = 2 * scale,
          .to_host = 1.5 * scale,
          .latency = 0.25,
          .copies_beside = scale > 1};
}

std::vector<double> map_rates(const std::vector<std::string>& names, const SpeedTable& table) {
  std::vector<DeviceBudget> devices;
  for (const std::string& name : names) devices.push_back({.name = name});
  std::vector<double> rates;
  for (const DeviceSpeed& speed : speeds_of(devices, table)) rates.push_back(speed.map);
  return rates;
}

}  // namespace

TEST_CASE("seconds are each kind of work divided by its rate") {
  const Work work{.convolution = 10, .product = 40, .attention = 120, .traffic = 320};
  CHECK(seconds_of(work, some_speed(1), kF32) == doctest::Approx(1 + 2 + 3 + 4));
  CHECK(seconds_of(work, some_speed(1), kBF16) == doctest::Approx(5));
  CHECK(seconds_of({}, some_speed(1), kF32) == 0);
}

TEST_CASE("a dtype that was not measured is as fast as float32") {
  const Work work{.convolution = 100};
  CHECK(seconds_of(work, some_speed(1), kF16) == seconds_of(work, some_speed(1), kF32));
}

TEST_CASE("a device takes its own row, else the one that speaks for its kind") {
  const SpeedTable table{{"cpu", some_speed(1)},
                         {"sim", some_speed(2)},
                         {"sim:fast", some_speed(3)},
                         {"cuda", some_speed(4)},
                         {"cuda:0", some_speed(5)}};
  CHECK(map_rates({"cuda:0", "cuda:1", "sim:fast", "sim:slow", "logical:a", "cpu"}, table) ==
        std::vector<double>{25, 20, 15, 10, 5, 5});
}

TEST_CASE("a device without any row is refused with both names") {
  CHECK_THROWS_WITH_AS(map_rates({"cuda:1"}, {{"cpu", some_speed(1)}}),
                       "--device cuda:1: the table of speeds has no row 'cuda:1', nor 'cuda'; "
                       "`emulsion models bench` measures it",
                       PlanError);
}

TEST_CASE("a table that is written is read back the same") {
  const SpeedTable table{{"cpu", some_speed(1)}, {"cuda:0", some_speed(1e9 / 3)}};
  const SpeedTable read = parse_speeds(to_json(table), "here");
  CHECK(to_json(read) == to_json(table));
  CHECK(read.at("cuda:0").compute.at(kBF16).attention ==
        table.at("cuda:0").compute.at(kBF16).attention);
  CHECK(read.at("cuda:0").copies_beside);
  CHECK_FALSE(read.at("cpu").copies_beside);
}

TEST_CASE("what is no table is refused with its place and the first fault") {
  const std::string good = to_json({{"cpu", some_speed(1)}});
  const auto with = [&](const std::string& before, const std::string& after) {
    std::string text = good;
    text.replace(text.find(before), before.size(), after);
    return text;
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), good.substr(0, good.size() / 2), with(": 1", ": 2"),
        with("\"devices\"", "\"machines\""), with("\"f32\"", "\"f64\""),
        with("\"latency\": 0.25", "\"latency\": -1"), with("\"map\": 5.0", "\"map\": \"5\""),
        with("\"traffic\": 80.0", "\"traffic\": 0"), with("\"read\"", "\"red\"")}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_speeds(text, "here"), PlanError);
  }
  CHECK_THROWS_WITH_AS(parse_speeds(with("\"map\": 5.0", "\"map\": 0"), "speeds.json"),
                       "speeds.json: no table of speeds: 'map': expected a number of at least 1, "
                       "got 0; remove it, and the speeds are measured again",
                       PlanError);
}

TEST_CASE("typical speeds serve every kind of device in every dtype") {
  const auto speeds =
      speeds_of({{.name = "cuda:3"}, {.name = "sim:a"}, {.name = "logical:a"}, {.name = "cpu"}},
                typical_speeds());
  for (const DeviceSpeed& speed : speeds)
    for (const c10::ScalarType dtype : {kF32, kF16, kBF16})
      CHECK(seconds_of({1e12, 1e12, 1e12, 1e9}, speed, dtype) > 0);
}
