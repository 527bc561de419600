#include "emulsion/descriptor.h"

#include <algorithm>
#include <string>

#include "emulsion/plugin.h"

namespace emulsion {
namespace {

template <class Spec>
const Spec* find_named(const std::vector<Spec>& specs, std::string_view name) {
  const auto found = std::ranges::find(specs, name, &Spec::name);
  return found == specs.end() ? nullptr : &*found;
}

}  // namespace

const PortSpec* find_port(const std::vector<PortSpec>& ports, std::string_view name) {
  return find_named(ports, name);
}

const ParamSpec* find_param(const std::vector<ParamSpec>& params, std::string_view name) {
  return find_named(params, name);
}

const char* describe_guarded(void (*describe)(std::vector<NodeDescriptor>&),
                             std::vector<NodeDescriptor>& nodes) noexcept {
  thread_local std::string fault;
  try {
    describe(nodes);
    return nullptr;
  } catch (const std::exception& error) {
    fault = error.what();
  } catch (...) {
    fault = "an exception that is no std::exception";
  }
  return fault.c_str();
}

}  // namespace emulsion
