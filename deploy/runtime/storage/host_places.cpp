#include "deploy/runtime/storage/host_places.hpp"

#include <algorithm>
#include <string>

namespace holdfast::deploy::runtime {

std::string_view same_place(const struct stat& info, std::span<const std::string_view> places) {
  const auto found = std::find_if(places.begin(), places.end(), [&](std::string_view place) {
    struct stat known {};
    return ::stat(std::string{place}.c_str(), &known) == 0 && known.st_dev == info.st_dev &&
           known.st_ino == info.st_ino;
  });
  return found == places.end() ? std::string_view{} : *found;
}

}  // namespace holdfast::deploy::runtime
