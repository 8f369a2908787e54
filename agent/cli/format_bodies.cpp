// fmt's bodies, which Debian has as a shared library only: its headers hold them, too, and here
// they are compiled once. Linked into `holdfast` and `holdfastd` in the place of libfmt.so; without
// inlining (CMakeLists.txt), because other files call the smaller ones by name.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

namespace {

// Everything that formatting needs is called from here.
[[gnu::used]] std::string (*const kBodies)(fmt::string_view, fmt::format_args) = &fmt::vformat;

}  // namespace
