#include "agent/daemon/memory.hpp"

#include <malloc.h>
#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <string_view>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::daemon {
namespace {

/// Start or end of "55ce245b9000-55ce24600000 r-xp …".
std::uintptr_t address(std::string_view text) {
  std::uintptr_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

/// Executable mappings of files are never written (no text relocations), so nothing can be lost;
/// all others may hold changed pages.
bool is_code(std::string_view line) {
  return line.find(" r-xp ") != std::string_view::npos && line.find('/') != std::string_view::npos;
}

}  // namespace

void release_memory() {
  ::malloc_trim(0);
  const auto maps = os::read_file("/proc/self/maps", 4U << 20);
  if (!maps) return;
  for (const auto line : split(*maps, '\n')) {
    if (!is_code(line)) continue;
    const auto dash = line.find('-');
    const auto begin = address(line.substr(0, dash));
    const auto end = address(line.substr(dash + 1));
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

}  // namespace holdfast::agent::daemon
