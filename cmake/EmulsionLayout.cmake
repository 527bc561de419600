# Where things lie.  The build tree has the installed tree's layout and both find their libraries
# relative to themselves, so that installing copies files as they are.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(EMULSION_NODE_DIR lib/emulsion/nodes)
set(EMULSION_SHARE_DIR share/emulsion)

# A LibTorch with CUDA, or with libraries outside of its own folder, is too much to copy.
if(EXISTS ${EMULSION_TORCH_LIB_DIR}/libtorch_cuda.so OR EXISTS ${EMULSION_TORCH_ROOT}/../torch.libs)
  set(torch_is_compact OFF)
else()
  set(torch_is_compact ON)
endif()
option(EMULSION_BUNDLE_TORCH "Copy LibTorch's libraries into the installed tree" ${torch_is_compact})

if(APPLE)
  set(EMULSION_ORIGIN @loader_path)
else()
  set(EMULSION_ORIGIN $ORIGIN)
endif()
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH ${EMULSION_ORIGIN}/../lib)  # right from bin and from lib
set(EMULSION_NODE_RPATH ${EMULSION_ORIGIN}/../..)
if(EMULSION_BUNDLE_TORCH)
  file(GLOB EMULSION_TORCH_FILES ${EMULSION_TORCH_LIB_DIR}/libtorch${CMAKE_SHARED_LIBRARY_SUFFIX}
       ${EMULSION_TORCH_LIB_DIR}/libtorch_cpu${CMAKE_SHARED_LIBRARY_SUFFIX}
       ${EMULSION_TORCH_LIB_DIR}/libc10${CMAKE_SHARED_LIBRARY_SUFFIX}
       ${EMULSION_TORCH_LIB_DIR}/lib[gi]omp*${CMAKE_SHARED_LIBRARY_SUFFIX}*
       ${EMULSION_TORCH_LIB_DIR}/libomp*${CMAKE_SHARED_LIBRARY_SUFFIX}*)
  file(MAKE_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  foreach(library ${EMULSION_TORCH_FILES})
    get_filename_component(name ${library} NAME)
    file(CREATE_LINK ${library} ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/${name} SYMBOLIC)
  endforeach()
else()
  list(APPEND CMAKE_INSTALL_RPATH ${EMULSION_TORCH_LIB_DIR})
  list(APPEND EMULSION_NODE_RPATH ${EMULSION_TORCH_LIB_DIR})
endif()
