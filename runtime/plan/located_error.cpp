#include "plan/located_error.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

// LibTorch's messages go on with hints of Python's world after their first line.
std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

// LibTorch reports a failed allocation on the CPU as a plain error that says so.
bool means_out_of_memory(std::string_view text) {
  return text.find("can't allocate memory") != std::string_view::npos ||
         text.find("not enough memory") != std::string_view::npos;
}

template <class E>
[[noreturn]] void throw_at(const std::string& place, std::string_view text) {
  throw E(str(place, ": ", text));
}

}  // namespace

void rethrow_at(const std::string& place) {
  try {
    throw;
  } catch (const GraphError& error) {
    throw_at<GraphError>(place, error.what());
  } catch (const PluginError& error) {
    throw_at<PluginError>(place, error.what());
  } catch (const WeightError& error) {
    throw_at<WeightError>(place, error.what());
  } catch (const PlanError& error) {
    throw_at<PlanError>(place, error.what());
  } catch (const OutOfMemory& error) {
    throw_at<OutOfMemory>(place, error.what());
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    throw_at<RunError>(place, error.what());
  } catch (const c10::OutOfMemoryError& error) {
    throw_at<OutOfMemory>(place, first_line(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    const std::string line = first_line(error.what_without_backtrace());
    if (means_out_of_memory(line)) throw_at<OutOfMemory>(place, line);
    throw_at<RunError>(place, line);
  } catch (const std::bad_alloc&) {
    throw_at<OutOfMemory>(place, "the memory of the host is used up");
  } catch (const std::exception& error) {
    throw_at<RunError>(place, first_line(error.what()));
  }
}

}  // namespace emulsion
