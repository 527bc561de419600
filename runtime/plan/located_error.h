#pragma once

#include <string>

namespace emulsion {

// Throws the exception in flight anew with `place` before its text: an Error keeps its class;
// LibTorch's and the standard library's become RunError, or OutOfMemory where they mean that.
// To be called in a catch block.  [any thread]
[[noreturn]] void rethrow_at(const std::string& place);

}  // namespace emulsion
