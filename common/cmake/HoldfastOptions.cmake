# Compiler settings shared by every target. The warning set is argued for in common/README.md.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(HOLDFAST_TESTS "Build the tests" ON)
option(HOLDFAST_FUZZ "Build the libFuzzer targets (Clang only)" OFF)
option(HOLDFAST_BENCH "Build the Google Benchmark programs" ON)
option(HOLDFAST_PCH "Read the headers that nearly every file includes once" ON)
set(HOLDFAST_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# For size: half the code, so half the memory of an idle agent, a fifth less to compile, and decisions as fast (tests/bench/README.md).
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Os -g1 -ffunction-sections -fdata-sections")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # The sloppiness is what ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()

add_library(holdfast_options INTERFACE)
target_include_directories(holdfast_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(holdfast_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
  -Wno-missing-field-initializers  # designated initialisers leave members at their defaults on purpose
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>  # with -Os, GCC 12 sees std::optional's payload as uninitialised; the sanitizers look
  -fstack-protector-strong -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
target_compile_definitions(holdfast_options INTERFACE
  HOLDFAST_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
if(NOT HOLDFAST_SANITIZE)
  target_compile_definitions(holdfast_options INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
target_link_options(holdfast_options INTERFACE -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro -Wl,-z,now)
if(HOLDFAST_SANITIZE)
  target_compile_options(holdfast_options INTERFACE -fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(holdfast_options INTERFACE -fsanitize=${HOLDFAST_SANITIZE})
  if(HOLDFAST_SANITIZE MATCHES thread)
    target_compile_options(holdfast_options INTERFACE -Wno-tsan)
  endif()
  if(HOLDFAST_SANITIZE MATCHES undefined AND CMAKE_CXX_COMPILER_ID MATCHES Clang)
    target_compile_options(holdfast_options INTERFACE -fno-sanitize=function)
  endif()
endif()

if(HOLDFAST_FUZZ)  # coverage of every library, so that the fuzzer sees where its inputs lead
  target_compile_options(holdfast_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(holdfast_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# A package found by one folder is linked, through its static library, by all above it.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
