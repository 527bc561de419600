#include "exec/request_setup.h"

#include "check.h"

using namespace emulsion;

namespace {

std::vector<c10::ScalarType> dtypes(const std::string& dtype, std::vector<std::string> devices) {
  Request request;
  request.dtype = dtype;
  request.devices = std::move(devices);
  return dtypes_of(request);
}

}  // namespace

TEST_CASE("a dtype that is asked for is the only one, and auto ends with a half type") {
  CHECK((dtypes("f32", {"cpu"}) == std::vector{at::kFloat}));
  CHECK((dtypes("f16", {"cpu"}) == std::vector{at::kHalf}));
  CHECK((dtypes("auto", {"cpu"}).back() == at::kBFloat16));
  CHECK((dtypes("auto", {"sim:a=4GiB", "cpu"}) == std::vector{at::kHalf}));
}
