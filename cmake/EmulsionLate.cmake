# Shared libraries that are opened when the first of their functions is called, so that a program
# that calls none starts without them: LibTorch registers thousands of operators while it is loaded,
# and libcurl brings dozens of libraries along.  It is what other systems call delay loading.
#
# Elsewhere, and where LibTorch was built with CUDA, whose devices are looked for at each start,
# libraries are linked as usual.
set(libraries_can_be_late OFF)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux"
   AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64"
   AND CMAKE_NM
   AND CMAKE_OBJDUMP
   AND NOT EXISTS ${EMULSION_TORCH_LIB_DIR}/libtorch_cuda.so)
  set(libraries_can_be_late ON)
endif()
option(EMULSION_LATE_LIBRARIES "Open LibTorch and libcurl at their first use"
       ${libraries_can_be_late})
if(EMULSION_LATE_LIBRARIES)
  enable_language(ASM)
else()
  file(REMOVE_RECURSE ${PROJECT_BINARY_DIR}/late)  # tests look for it
endif()

# emulsion_add_late_library(TARGET LIBRARY PATTERN...): TARGET, an archive that stands in for LIBRARY
# with those of its functions that match a PATTERN: a letter of nm, a space, and a symbol.
function(emulsion_add_late_library target library)
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${library} OUTPUT_VARIABLE headers
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "SONAME +([^\n ]+)" found "${headers}")
  set(name ${CMAKE_MATCH_1})
  execute_process(COMMAND ${CMAKE_NM} -D --defined-only ${library} OUTPUT_VARIABLE symbols
                  COMMAND_ERROR_IS_FATAL ANY)
  list(JOIN ARGN "|" pattern)
  string(REGEX MATCHALL " (${pattern})" functions "${symbols}")
  list(TRANSFORM functions REPLACE "^ . " "late_function ")
  list(JOIN functions "\n" lines)
  set(list ${PROJECT_BINARY_DIR}/late/${target}.inc)
  file(CONFIGURE OUTPUT ${list} CONTENT "${lines}\n" @ONLY)

  add_library(${target} STATIC ${PROJECT_SOURCE_DIR}/cmake/late_library_x86_64.S)
  target_compile_definitions(${target} PRIVATE LATE_LIBRARY="${name}" LATE_FUNCTIONS="${list}")
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/cmake/late_library_x86_64.S APPEND PROPERTY OBJECT_DEPENDS
                                                                                   ${list})
  # What is not called is left out, and a function that the pattern lacks is an error.
  target_link_options(${target} INTERFACE LINKER:--gc-sections LINKER:-z,defs)
endfunction()

if(EMULSION_LATE_LIBRARIES)
  # What the headers' inline functions call counts as well.  Weak symbols (W) that headers define
  # are not to be had from here, but for these, which they only declare.
  emulsion_add_late_library(
    emulsion_late_torch
    ${EMULSION_TORCH_LIB_DIR}/libtorch_cpu.so
    "T _ZNK?2at4_ops[A-Za-z0-9_]+4call[A-Za-z0-9_]+"
    "T _ZNK?2at(6Tensor|10TensorBase|11TensorMaker|14RecordFunction|16CPUGenerator)[A-Za-z0-9_]+"
    "W _ZNK2at10TensorBase[0-9]+[a-z_]*data_ptr[A-Za-z0-9_]+"
    "T _ZN2at(8internal)?[0-9]+[a-zA-Z_]+E[A-Za-z0-9_]+"
    "T _ZNK?3c10[A-Za-z0-9_]+")
endif()

# emulsion_load_torch_late(TARGET...): opens LibTorch at its first use.  Its c10 is small and comes
# at the start.
function(emulsion_load_torch_late)
  if(EMULSION_LATE_LIBRARIES)
    foreach(target ${ARGN})
      set_property(TARGET ${target} PROPERTY EMULSION_LATE_TORCH ON)
      target_link_libraries(${target} PRIVATE emulsion_late_torch)
    endforeach()
  endif()
endfunction()

# emulsion_link_late(TARGET LIBRARY PATTERN): links an imported shared library of C, of which PATTERN
# is what is used, so that it is opened at its first use.
function(emulsion_link_late target library pattern)
  get_target_property(file ${library} IMPORTED_LOCATION)
  if(EMULSION_LATE_LIBRARIES AND file MATCHES "\\.so")
    get_filename_component(name ${file} NAME_WE)
    emulsion_add_late_library(emulsion_late_${name} ${file} "T ${pattern}")
    target_include_directories(
      ${target} SYSTEM PRIVATE $<TARGET_PROPERTY:${library},INTERFACE_INCLUDE_DIRECTORIES>)
    target_link_libraries(${target} PRIVATE emulsion_late_${name})
  else()
    target_link_libraries(${target} PRIVATE ${library})
  endif()
endfunction()
