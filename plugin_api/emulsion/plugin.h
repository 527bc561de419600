#pragma once

#include <torch/headeronly/version.h>

#include <cstdint>
#include <vector>

#include "emulsion/node.h"

// What a library was built with, written into it as one string.  A runtime uses a library only
// when its own string is equal, since objects of C++ and of LibTorch cross the border.
#define EMULSION_STRINGIZE_(x) #x
#define EMULSION_STRINGIZE(x) EMULSION_STRINGIZE_(x)

#if defined(__clang__)
#define EMULSION_COMPILER_ "clang" EMULSION_STRINGIZE(__clang_major__)
#elif defined(__GNUC__)
#define EMULSION_COMPILER_ "gcc" EMULSION_STRINGIZE(__GNUC__)
#elif defined(_MSC_VER)
#define EMULSION_COMPILER_ "msvc" EMULSION_STRINGIZE(_MSC_VER)
#endif

#if defined(_GLIBCXX_USE_CXX11_ABI)
#define EMULSION_STRING_ABI_ " cxx11abi=" EMULSION_STRINGIZE(_GLIBCXX_USE_CXX11_ABI)
#else
#define EMULSION_STRING_ABI_ ""
#endif

#define EMULSION_API_MAJOR 3
#define EMULSION_API_MINOR 0

#define EMULSION_ABI_STAMP                                                                       \
  "emulsion=" EMULSION_STRINGIZE(EMULSION_API_MAJOR) " torch=" TORCH_VERSION                     \
                                                     " " EMULSION_COMPILER_ EMULSION_STRING_ABI_ \
                                                     " c++=" EMULSION_STRINGIZE(__cplusplus)

namespace emulsion {

// The one C door of a library: plain data that is read, and compared, before any C++ is called.
// Later minors of the API may add members at the end; struct_size tells which are there.
struct PluginEntry {
  std::uint32_t struct_size;
  std::uint32_t api_major;
  std::uint32_t api_minor;
  const char* abi_stamp;
  // Appends the library's nodes.  Null, or the text of what went wrong, which lives until the next
  // call on the same thread; throws nothing.  [any thread, one at a time]
  const char* (*describe)(std::vector<NodeDescriptor>& nodes);
};

// Calls `describe` and turns an exception into its text.
EMULSION_API const char* describe_guarded(void (*describe)(std::vector<NodeDescriptor>&),
                                          std::vector<NodeDescriptor>& nodes) noexcept;

}  // namespace emulsion

// Exports the door.  `function` is void(std::vector<emulsion::NodeDescriptor>&).
#define EMULSION_PLUGIN(function)                                                                \
  extern "C" EMULSION_EXPORT const emulsion::PluginEntry emulsion_plugin;                        \
  extern "C" const emulsion::PluginEntry emulsion_plugin = {                                     \
      sizeof(emulsion::PluginEntry), EMULSION_API_MAJOR, EMULSION_API_MINOR, EMULSION_ABI_STAMP, \
      [](std::vector<emulsion::NodeDescriptor>& nodes) -> const char* {                          \
        return emulsion::describe_guarded(function, nodes);                                      \
      }};
