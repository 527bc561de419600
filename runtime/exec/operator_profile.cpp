#include "exec/operator_profile.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <string_view>

#include "emulsion/str.h"

namespace emulsion {
namespace {

using Clock = std::chrono::steady_clock;
using Shape = std::vector<std::int64_t>;

// What LibTorch's callbacks, which are plain functions, find on their thread.
thread_local std::vector<OperatorTimes>* recorded = nullptr;
thread_local int depth = 0;

struct Call : at::ObserverContext {
  OperatorTimes operation;
  Clock::time_point began;
};

double product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1.0, [](double whole, std::int64_t n) {
    return whole * static_cast<double>(n);
  });
}

// "conv2d" of "aten::conv2d", "linear_pointwise" of "mkldnn::_linear_pointwise"
std::string plain_name(std::string_view name) {
  name.remove_prefix(name.rfind(':') + 1);  // npos + 1 is 0
  name.remove_prefix(std::min(name.find_first_not_of('_'), name.size()));
  return std::string(name);
}

std::int64_t number_at(const at::RecordFunction& call, std::size_t input, std::size_t index,
                       std::int64_t otherwise) {
  if (call.inputs().size() <= input || !call.inputs()[input].isIntList()) return otherwise;
  const auto list = call.inputs()[input].toIntVector();
  return list.empty() ? otherwise : list[std::min(index, list.size() - 1)];
}

// x [B, in, H, W], weight [out, in, h, w], bias, stride, padding; the last two are 1 and what keeps
// the size where a kernel of ours has no others.
double convolution_flops(const at::RecordFunction& call, const Shape& x, const Shape& weight) {
  double results = static_cast<double>(x[0] * weight[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t kernel = weight[2 + i], stride = number_at(call, 3, i, 1);
    const std::int64_t padding = number_at(call, 4, i, kernel / 2);
    results *= static_cast<double>((x[2 + i] + 2 * padding - kernel) / stride + 1);
  }
  return 2 * results * product(weight) / static_cast<double>(weight[0]);
}

double flops_of(const at::RecordFunction& call, const std::string& name,
                const std::vector<Shape>& shapes) {
  if (shapes.size() < 2 || shapes[0].empty() || shapes[1].empty()) return 0;
  const Shape &x = shapes[0], &y = shapes[1];
  if (name.find("conv2d") != std::string::npos && x.size() == 4 && y.size() == 4)
    return convolution_flops(call, x, y) * (name.find("doubled") != std::string::npos ? 4 : 1);
  if (name.find("linear") != std::string::npos) return 2 * product(x) * static_cast<double>(y[0]);
  if (name == "mm" || name == "bmm") return 2 * product(x) * static_cast<double>(y.back());
  if (name.find("attention") == std::string::npos || x.size() < 2 || y.size() < 2) return 0;
  return 4 * product(x) * static_cast<double>(y[y.size() - 2]);  // q [..., L, K], k [..., S, K]
}

std::string text_of(const std::vector<Shape>& shapes) {
  std::string text;
  for (const Shape& shape : shapes) {
    text += text.empty() ? "[" : " [";
    for (std::size_t i = 0; i < shape.size(); ++i) text += str(i == 0 ? "" : ", ", shape[i]);
    text += "]";
  }
  return text;
}

std::unique_ptr<at::ObserverContext> begin_call(const at::RecordFunction& call) {
  if (recorded == nullptr || depth++ > 0) return nullptr;
  std::vector<Shape> shapes;
  for (const c10::IValue& input : call.inputs())
    if (input.isTensor() && input.toTensor().defined())
      shapes.push_back(input.toTensor().sizes().vec());
  auto context = std::make_unique<Call>();
  const std::string name = plain_name(call.name());
  context->operation = {name, text_of(shapes), 1, 0, flops_of(call, name, shapes)};
  context->began = Clock::now();
  return context;
}

void end_call(const at::RecordFunction&, at::ObserverContext* context) {
  if (recorded == nullptr) return;
  --depth;
  if (context == nullptr) return;
  Call& call = static_cast<Call&>(*context);
  call.operation.seconds = std::chrono::duration<double>(Clock::now() - call.began).count();
  add_up(*recorded, {call.operation});
}

}  // namespace

OperatorProfile::OperatorProfile() {
  recorded = &operators_;
  depth = 0;
  callback_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&begin_call, &end_call)
                                             .needsInputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
}

OperatorProfile::~OperatorProfile() {
  at::removeCallback(callback_);
  recorded = nullptr;
}

void add_up(std::vector<OperatorTimes>& operators, const std::vector<OperatorTimes>& more) {
  for (const OperatorTimes& one : more) {
    const auto same = std::ranges::find_if(operators, [&](const OperatorTimes& other) {
      return other.name == one.name && other.shapes == one.shapes;
    });
    if (same == operators.end()) {
      operators.push_back(one);
      continue;
    }
    same->calls += one.calls;
    same->seconds += one.seconds;
    same->flops += one.flops;
  }
}

}  // namespace emulsion
