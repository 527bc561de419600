# emulsion_add_node(SOURCE... [LINK TARGET...])
# One folder = one plug-in = one target, all of the folder's name.  Beside the library goes its
# manifest, written from its descriptors by emulsion-describe.
function(emulsion_add_node)
  cmake_parse_arguments(node "" "" "LINK" ${ARGN})
  get_filename_component(id ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  if(EMULSION_NODE_DIR)  # in the project's own build
    set(folder ${PROJECT_BINARY_DIR}/${EMULSION_NODE_DIR})
  else()
    set(folder ${CMAKE_CURRENT_BINARY_DIR})
  endif()

  add_library(${id} MODULE ${node_UNPARSED_ARGUMENTS})
  target_compile_features(${id} PRIVATE cxx_std_20)
  target_link_libraries(${id} PRIVATE Emulsion::plugin_api ${node_LINK})
  set_target_properties(
    ${id}
    PROPERTIES PREFIX ""
               DEFINE_SYMBOL ""
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON
               LIBRARY_OUTPUT_DIRECTORY $<1:${folder}>)  # no folder per configuration
  add_custom_command(
    TARGET ${id} POST_BUILD
    COMMAND Emulsion::describe $<TARGET_FILE:${id}> ${folder}/${id}.emulsion.json
    BYPRODUCTS ${folder}/${id}.emulsion.json
    VERBATIM)

  if(EMULSION_NODE_DIR)
    target_link_libraries(${id} PRIVATE emulsion_warnings emulsion_models)
    target_precompile_headers(${id} REUSE_FROM emulsion_models)
    emulsion_load_torch_late(${id})
    set_property(TARGET ${id} PROPERTY INSTALL_RPATH ${EMULSION_NODE_RPATH})
    set_property(GLOBAL APPEND PROPERTY EMULSION_NODES ${id})
    # Linked again when emulsion-describe changes, so that no manifest is of an older form.
    set_property(TARGET ${id} APPEND PROPERTY LINK_DEPENDS $<TARGET_FILE:emulsion_describe>)
    add_dependencies(${id} emulsion_describe)
  endif()
endfunction()
