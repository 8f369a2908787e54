# What nearly every file includes. Every file still names what it uses: the clang stage of .ci/run builds without this.
set(HOLDFAST_PCH_HEADERS <fmt/format.h> <algorithm> <array> <chrono> <cstdint> <filesystem> <functional> <map> <memory> <mutex> <optional>
    <set> <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>)

# Every library shares one precompiled header; the tests share another, which holds gmock too. (An executable for the tests, because
# GCC compares -fPIE and -fPIC.)
function(holdfast_precompile target like)
  if(NOT HOLDFAST_PCH)
    return()
  endif()
  if(NOT TARGET holdfast_${like})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch/${like}.cpp CONTENT "int main() { return 0; }\n")
    if(like MATCHES test)
      add_executable(holdfast_${like} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/${like}.cpp)
    else()
      add_library(holdfast_${like} STATIC EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch/${like}.cpp)
    endif()
    target_link_libraries(holdfast_${like} PRIVATE holdfast_options fmt::fmt ${ARGN})
    holdfast_compile_as_test(holdfast_${like} ${like})
    target_precompile_headers(holdfast_${like} PRIVATE ${HOLDFAST_PCH_HEADERS})
    if(like MATCHES test)
      target_precompile_headers(holdfast_${like} PRIVATE <gmock/gmock.h>)
    endif()
  endif()
  target_compile_definitions(${target} PRIVATE FMT_SHARED)  # as in the header: GCC compares
  holdfast_compile_as_test(${target} ${like})
  target_precompile_headers(${target} REUSE_FROM holdfast_${like})
endfunction()

# Test files are compiled without optimisation: it halves their time, and what they test is optimised all the same.
function(holdfast_compile_as_test target like)
  if(like MATCHES test AND NOT HOLDFAST_SANITIZE)
    target_compile_options(${target} PRIVATE -O0 -U_FORTIFY_SOURCE)
  endif()
endfunction()

# holdfast_library(NAME [DEPS …] [PRIVATE …])
# A static library from every *.cpp of the calling folder. The target is holdfast_<NAME>; DEPS are rooms it may include
# (checked by tests/lint), PRIVATE are third-party targets whose headers stay in this folder's .cpp files. Four files are compiled at a
# time: a quarter less for a full build, and still under 15 s after a change of one.
function(holdfast_library name)
  cmake_parse_arguments(arg "" "" "DEPS;PRIVATE;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(excluded IN LISTS arg_EXCLUDE)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${excluded})
  endforeach()
  if(NOT sources)
    add_library(holdfast_${name} INTERFACE)
    target_link_libraries(holdfast_${name} INTERFACE holdfast_options ${arg_DEPS} ${arg_PRIVATE})
    return()
  endif()
  add_library(holdfast_${name} STATIC ${sources})
  target_link_libraries(holdfast_${name} PUBLIC holdfast_options ${arg_DEPS} PRIVATE ${arg_PRIVATE})
  set_target_properties(holdfast_${name} PROPERTIES UNITY_BUILD ${HOLDFAST_PCH} UNITY_BUILD_BATCH_SIZE 4)
  # These take long enough by themselves: one changed file is to be built within 15 s.
  set(alone ${sources})
  list(FILTER alone INCLUDE REGEX "/(core|options|asio_bodies|log|reader)\\.cpp$")
  set_source_files_properties(${alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  holdfast_precompile(holdfast_${name} precompiled)
endfunction()

# holdfast_tests(FOLDER LIBS … LABELS …)
# One program from every *_test.cpp of tests/<FOLDER>, compiled a few files at a time (they share most of what a compiler does for
# them: half the time of a full build); each file is a ctest of its own, tests/<FOLDER>/<name>_test.cpp is <FOLDER>/<name>.
function(holdfast_tests folder)
  cmake_parse_arguments(arg "" "TIMEOUT" "LIBS;LABELS" ${ARGN})
  string(REPLACE "/" "_" target ${folder}_test)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*_test.cpp)
  set(names)
  add_executable(${target} ${files})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests UNITY_BUILD ${HOLDFAST_PCH} UNITY_BUILD_BATCH_SIZE 4)
  target_link_libraries(${target} PRIVATE ${arg_LIBS} holdfast_test_main holdfast_options GTest::gmock)
  holdfast_precompile(${target} precompiled_test GTest::gmock)
  foreach(file IN LISTS files)
    file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${file})
    string(REGEX REPLACE "^tests/(.*)_test\\.cpp$" "\\1" name ${relative})
    list(APPEND names ${name})
    add_test(NAME ${name} COMMAND ${target} --file=${relative})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT}
      LABELS "${arg_LABELS}" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      ENVIRONMENT "HOLDFAST_BIN=${CMAKE_BINARY_DIR}/bin;HOLDFAST_SOURCE=${CMAKE_SOURCE_DIR}")
  endforeach()
  set(holdfast_tests_of_folder ${names} PARENT_SCOPE)
endfunction()

# holdfast_link_archives(TARGET ROOMS … ARCHIVES … [OBJECTS …])
# Links static archives of third-party libraries, where all of them are installed, instead of the shared ones: only what is used
# gets into the program, and the loader has less to do. They and the rooms that need them are named first; --as-needed then drops
# the shared libraries, to which no reference is left.
function(holdfast_link_archives target)
  cmake_parse_arguments(arg "" "" "ROOMS;ARCHIVES;OBJECTS" ${ARGN})
  set(archives)
  foreach(name IN LISTS arg_ARCHIVES)
    find_library(HOLDFAST_ARCHIVE_${name} lib${name}.a)
    list(APPEND archives ${HOLDFAST_ARCHIVE_${name}})
  endforeach()
  if(HOLDFAST_SANITIZE OR archives MATCHES NOTFOUND)
    return()
  endif()
  set(rooms)
  foreach(room IN LISTS arg_ROOMS)
    list(APPEND rooms $<TARGET_FILE:holdfast_${room}>)
  endforeach()
  target_link_libraries(${target} PRIVATE -Wl,--start-group ${arg_OBJECTS} ${rooms} ${archives} -Wl,--end-group)
endfunction()
