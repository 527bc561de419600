#include "plan/speed.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;  // of the document; another one is not read

constexpr std::array<std::pair<c10::ScalarType, std::string_view>, 3> kDtypes{
    {{c10::ScalarType::Float, "f32"},
     {c10::ScalarType::Half, "f16"},
     {c10::ScalarType::BFloat16, "bf16"}}};

constexpr std::array<std::pair<std::string_view, double ComputeSpeed::*>, 4> kRates{
    {{"convolution", &ComputeSpeed::convolution},
     {"product", &ComputeSpeed::product},
     {"attention", &ComputeSpeed::attention},
     {"traffic", &ComputeSpeed::traffic}}};

constexpr std::array<std::pair<std::string_view, double DeviceSpeed::*>, 5> kWays{
    {{"map", &DeviceSpeed::map},
     {"read", &DeviceSpeed::read},
     {"convert", &DeviceSpeed::convert},
     {"from_host", &DeviceSpeed::from_host},
     {"to_host", &DeviceSpeed::to_host}}};

const ComputeSpeed& compute_speed(const DeviceSpeed& speed, c10::ScalarType dtype) {
  const auto found = speed.compute.find(dtype);
  return found != speed.compute.end() ? found->second : speed.compute.at(c10::ScalarType::Float);
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// The row that speaks for a device which has none of its own.
std::string row_for(const DeviceBudget& device) {
  if (starts_with(device.name, "logical:")) return "cpu";
  return device.name.substr(0, device.name.find(':'));
}

Json device_json(const DeviceSpeed& speed) {
  Json compute = Json::object();
  for (const auto& [dtype, name] : kDtypes) {
    const auto found = speed.compute.find(dtype);
    if (found == speed.compute.end()) continue;
    for (const auto& [rate, member] : kRates) compute[name][rate] = found->second.*member;
  }
  Json json{{"compute", std::move(compute)}};
  for (const auto& [way, member] : kWays) json[way] = speed.*member;
  json["latency"] = speed.latency;
  json["copies_beside"] = speed.copies_beside;
  return json;
}

class TableReader {
 public:
  explicit TableReader(std::string place) : place_(std::move(place)) {}

  SpeedTable read(std::string_view text) const {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) fail("expected JSON");
    if (!json.is_object() || json.value("emulsion_speeds", Json()) != kVersion)
      fail(str("expected \"emulsion_speeds\": ", kVersion));
    SpeedTable table;
    for (const auto& [name, device] : at(json, "devices").items())
      table.emplace(name, read_device(device, name));
    return table;
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw PlanError(str(place_, ": no table of speeds: ", fault,
                        "; remove it, and the speeds are measured again"));
  }

  const Json& at(const Json& object, std::string_view key) const {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end()) fail(str("'", key, "' is missing"));
    return *found;
  }

  double number(const Json& object, std::string_view key, double least) const {
    const Json& value = at(object, key);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < least)
      fail(str("'", key, "': expected a number of at least ", least, ", got ", value.dump()));
    return value.get<double>();
  }

  DeviceSpeed read_device(const Json& json, const std::string& name) const {
    DeviceSpeed speed;
    const Json& compute = at(json, "compute");
    for (const auto& [dtype, key] : kDtypes) {
      if (!compute.contains(key)) continue;
      for (const auto& [rate, member] : kRates)
        speed.compute[dtype].*member = number(compute[key], rate, 1);
    }
    if (!speed.compute.contains(c10::ScalarType::Float)) fail(str("'", name, "' has no f32"));
    for (const auto& [way, member] : kWays) speed.*member = number(json, way, 1);
    speed.latency = number(json, "latency", 0);
    speed.copies_beside = at(json, "copies_beside") == true;
    return speed;
  }

  std::string place_;
};

}  // namespace

double seconds_of(const Work& work, const DeviceSpeed& speed, c10::ScalarType dtype) {
  const ComputeSpeed& rate = compute_speed(speed, dtype);
  return work.convolution / rate.convolution + work.product / rate.product +
         work.attention / rate.attention + work.traffic / rate.traffic;
}

std::vector<DeviceSpeed> speeds_of(const std::vector<DeviceBudget>& devices,
                                   const SpeedTable& table) {
  std::vector<DeviceSpeed> speeds;
  for (const DeviceBudget& device : devices) {
    auto found = table.find(device.name);
    if (found == table.end()) found = table.find(row_for(device));
    if (found == table.end())
      throw PlanError(str("--device ", device.name, ": the table of speeds has no row '",
                          device.name, "', nor '", row_for(device),
                          "'; `emulsion models bench` measures it"));
    speeds.push_back(found->second);
  }
  return speeds;
}

std::string to_json(const SpeedTable& table) {
  Json devices = Json::object();
  for (const auto& [name, speed] : table) devices[name] = device_json(speed);
  return Json{{"emulsion_speeds", kVersion}, {"devices", std::move(devices)}}.dump(2) + "\n";
}

SpeedTable parse_speeds(std::string_view json, const std::string& place) {
  return TableReader(place).read(json);
}

SpeedTable typical_speeds() {
  const ComputeSpeed half{20e12, 20e12, 10e12, 400e9}, single{10e12, 10e12, 5e12, 400e9};
  const DeviceSpeed accelerator{.compute = {{c10::ScalarType::Float, single},
                                            {c10::ScalarType::Half, half},
                                            {c10::ScalarType::BFloat16, half}},
                                .map = 2e9,
                                .read = 2e9,
                                .convert = 1.5e9,
                                .from_host = 12e9,
                                .to_host = 12e9,
                                .latency = 20e-6,
                                .copies_beside = true};
  const DeviceSpeed cpu{.compute = {{c10::ScalarType::Float, {150e9, 150e9, 100e9, 8e9}},
                                    {c10::ScalarType::BFloat16, {300e9, 350e9, 150e9, 6e9}}},
                        .map = 2e9,
                        .read = 2e9,
                        .convert = 1.5e9,
                        .from_host = 5e9,
                        .to_host = 5e9,
                        .latency = 2e-6,
                        .copies_beside = false};
  return {{"cpu", cpu}, {"cuda", accelerator}, {"sim", accelerator}};
}

}  // namespace emulsion
