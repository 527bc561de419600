#include "emulsion/errors.h"
#include "emulsion/export.h"
#include "emulsion/str.h"

#if defined(__linux__)
#include <dlfcn.h>

// The address of a function of a library that is opened late, see cmake/EmulsionLate.cmake; the
// stand-ins call it.  What is open stays so.  Throws PluginError.  [any thread]
extern "C" EMULSION_API void* emulsion_late_function(const char* library, const char* name) {
  void* const opened = dlopen(library, RTLD_LAZY | RTLD_GLOBAL);
  void* const function = opened != nullptr ? dlsym(opened, name) : nullptr;
  if (function == nullptr)
    throw emulsion::PluginError(emulsion::str(library, ": cannot be loaded: ", dlerror(),
                                              "; install what it needs, or build again"));
  return function;
}
#endif
