# Target emulsion_torch: LibTorch as this project uses it, with headers per operator and no way to
# the all-in-one header.  Read by the project's build and by the installed package alike.
#
# LibTorch's own package is only looked for, not run: it asks for a CUDA toolkit when the library
# was built with CUDA, which nothing here needs, and it adds definitions that are not ours.
# Found as find_package(Torch) would: Torch_DIR, CMAKE_PREFIX_PATH, Torch_ROOT.
if(TARGET emulsion_torch)
  return()
endif()

find_path(
  Torch_DIR
  NAMES TorchConfig.cmake
  HINTS ${Torch_ROOT} ENV Torch_ROOT ENV Torch_DIR ${EMULSION_TORCH_HINT}
  PATH_SUFFIXES share/cmake/Torch lib/cmake/Torch
  DOC "The folder of LibTorch's TorchConfig.cmake")
if(NOT Torch_DIR)
  message(
    FATAL_ERROR
      "LibTorch: expected Torch_DIR or CMAKE_PREFIX_PATH to name one, got neither; "
      "`./dev build` installs it, or: python3 -m venv V && V/bin/pip install torch==2.13.0, then "
      "-DTorch_DIR=V/lib/python3.11/site-packages/torch/share/cmake/Torch")
endif()
get_filename_component(EMULSION_TORCH_ROOT "${Torch_DIR}/../../.." ABSOLUTE)
set(EMULSION_TORCH_LIB_DIR "${EMULSION_TORCH_ROOT}/lib")

set(version_header "${EMULSION_TORCH_ROOT}/include/torch/headeronly/version.h")
if(NOT EXISTS "${version_header}")
  message(FATAL_ERROR "LibTorch in ${EMULSION_TORCH_ROOT}: expected 2.11 or later, got one without "
                      "torch/headeronly/version.h; set Torch_DIR to a newer one")
endif()
file(STRINGS "${version_header}" version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]" "" version_numbers "${version_lines}")
list(JOIN version_numbers "." EMULSION_TORCH_VERSION)
if(EMULSION_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "LibTorch in ${EMULSION_TORCH_ROOT}: expected 2.11 or later, got "
                      "${EMULSION_TORCH_VERSION}; set Torch_DIR to a newer one")
endif()

add_library(emulsion_torch INTERFACE IMPORTED GLOBAL)
set(is_late $<BOOL:$<TARGET_PROPERTY:EMULSION_LATE_TORCH>>)  # see EmulsionLate.cmake
foreach(part torch torch_cpu c10)
  unset(library)
  find_library(library ${part} PATHS "${EMULSION_TORCH_LIB_DIR}" NO_DEFAULT_PATH NO_CACHE REQUIRED)
  if(part STREQUAL c10)
    target_link_libraries(emulsion_torch INTERFACE "${library}")
  else()
    target_link_libraries(emulsion_torch INTERFACE "$<$<NOT:${is_late}>:${library}>")
  endif()
endforeach()
set_target_properties(emulsion_torch PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
                                                "${EMULSION_TORCH_ROOT}/include")
target_compile_definitions(emulsion_torch INTERFACE AT_PER_OPERATOR_HEADERS
                                                    TORCH_ASSERT_ONLY_METHOD_OPERATORS)
# libtorch itself has no symbol that is used; it is what brings CUDA in where there is one.
if(UNIX AND NOT APPLE)
  target_link_options(emulsion_torch INTERFACE LINKER:--no-as-needed)
endif()
