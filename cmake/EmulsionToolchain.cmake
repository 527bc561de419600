if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# A precompiled header stays cacheable only when ccache may look past it (and gcc keeps its macros).
find_program(EMULSION_CCACHE ccache)
if(EMULSION_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${EMULSION_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

include(CheckLinkerFlag)
find_program(EMULSION_MOLD mold)
if(EMULSION_MOLD)
  check_linker_flag(CXX -fuse-ld=mold EMULSION_USES_MOLD)  # gcc knows it since 12.1
  if(EMULSION_USES_MOLD)
    add_link_options(-fuse-ld=mold)
  endif()
endif()

# Applied to the project's own targets; LibTorch's headers are SYSTEM.
add_library(emulsion_warnings INTERFACE)
if(MSVC)
  target_compile_options(emulsion_warnings INTERFACE /W4)
else()
  target_compile_options(emulsion_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # false alarms on std::variant and std::optional
    target_compile_options(emulsion_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
  if(EMULSION_WERROR)
    target_compile_options(emulsion_warnings INTERFACE -Werror)
  endif()
endif()
