#include "common/os/environment.hpp"

#include <cstdlib>

namespace holdfast::os {

std::optional<std::string> environment(const char* name) {
  const char* value =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing in the house calls setenv
  if (value == nullptr) return std::nullopt;
  return std::string{value};
}

}  // namespace holdfast::os
