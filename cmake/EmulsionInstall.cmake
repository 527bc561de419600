include(CMakePackageConfigHelpers)

set(package_dir lib/cmake/Emulsion)
get_property(nodes GLOBAL PROPERTY EMULSION_NODES)

# Everything that is installed, and no test.
add_custom_target(emulsion_product DEPENDS emulsion_cli emulsion_describe emulsion_runtime ${nodes})

install(
  TARGETS emulsion_plugin_api emulsion_runtime emulsion_describe
  EXPORT EmulsionTargets
  RUNTIME DESTINATION bin
  LIBRARY DESTINATION lib)
install(TARGETS emulsion_kernels emulsion_models emulsion_cli RUNTIME DESTINATION bin LIBRARY DESTINATION lib)
foreach(node ${nodes})
  install(TARGETS ${node} LIBRARY DESTINATION ${EMULSION_NODE_DIR})
  install(FILES $<TARGET_FILE_DIR:${node}>/${node}.emulsion.json DESTINATION ${EMULSION_NODE_DIR})
endforeach()
if(EMULSION_BUNDLE_TORCH)
  install(FILES ${EMULSION_TORCH_FILES} DESTINATION lib)
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/plugin_api/emulsion
                  ${PROJECT_SOURCE_DIR}/runtime/include/emulsion
        DESTINATION include
        FILES_MATCHING
        PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/graphs ${PROJECT_SOURCE_DIR}/examples/models
        DESTINATION ${EMULSION_SHARE_DIR}
        PATTERN CMakeLists.txt EXCLUDE)
# CLIP's vocabulary, where ./dev could fetch it.
install(DIRECTORY ${PROJECT_BINARY_DIR}/${EMULSION_SHARE_DIR}/tokenizer
        DESTINATION ${EMULSION_SHARE_DIR} OPTIONAL)

install(EXPORT EmulsionTargets NAMESPACE Emulsion:: DESTINATION ${package_dir})
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/EmulsionConfig.cmake.in ${PROJECT_BINARY_DIR}/EmulsionConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/EmulsionConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/EmulsionConfig.cmake ${PROJECT_BINARY_DIR}/EmulsionConfigVersion.cmake
        ${PROJECT_SOURCE_DIR}/cmake/EmulsionTorch.cmake
        ${PROJECT_SOURCE_DIR}/cmake/EmulsionNode.cmake
  DESTINATION ${package_dir})
