# The kinds of target the project has. Every room uses these and nothing else, so that flags, purity and tests are said once.

set(GEMEL_SANITIZE "" CACHE STRING "sanitizers to build with, such as address,undefined")
option(GEMEL_FUZZ "build the fuzz targets (clang)" OFF)
option(GEMEL_COVERAGE "build with coverage counters" OFF)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PROTOBUFC REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
find_program(PROTOC_C protoc-c REQUIRED)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(gemel_flags INTERFACE)
target_compile_features(gemel_flags INTERFACE c_std_11)
target_compile_definitions(gemel_flags INTERFACE _GNU_SOURCE)
target_include_directories(gemel_flags INTERFACE "${CMAKE_SOURCE_DIR}")
# Warnings are errors in both compilers; -Wno-missing-field-initializers because {0} is how a value starts here.
target_compile_options(gemel_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla -Wformat=2
  -Wundef -Wpointer-arith -Wwrite-strings -Wno-missing-field-initializers -Werror
  -fno-omit-frame-pointer -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(gemel_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wno-format-truncation)
endif()
if(GEMEL_SANITIZE)
  add_compile_options(-fsanitize=${GEMEL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GEMEL_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()
if(GEMEL_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

# gemel_library(NAME SOURCES a.c ... DEPS other ...): a static library of a room.
function(gemel_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PRIVATE gemel_flags PUBLIC ${A_DEPS})
endfunction()

# gemel_core(NAME SOURCES ... DEPS ...): a library that decides and does nothing; tests/lint/purity holds it to that.
function(gemel_core name)
  gemel_library(${name} ${ARGN})
  set_property(GLOBAL APPEND PROPERTY GEMEL_CORES ${name})
endfunction()

# gemel_program(NAME SOURCES main.c ... DEPS ...): an executable in build/PRESET/bin.
function(gemel_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE gemel_flags ${A_DEPS})
endfunction()
