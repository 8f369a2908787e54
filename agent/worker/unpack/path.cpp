#include "agent/worker/unpack/path.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {

Result<std::vector<std::string>> components(std::string_view name) {
  constexpr std::size_t kMaxComponent = 255;
  std::vector<std::string> out;
  for (const auto part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (out.empty())
        return Error{Errc::layer_unsafe,
                     fmt::format("the name {} leads out of the layer", printable(name))};
      out.pop_back();
      continue;
    }
    if (part.size() > kMaxComponent)
      return Error{Errc::layer_limit, fmt::format("a name of {} bytes, at most {} are possible",
                                                  part.size(), kMaxComponent)};
    if (out.size() >= kMaxDepth)
      return Error{Errc::layer_limit, fmt::format("a path of more than {} directories", kMaxDepth)};
    out.emplace_back(part);
  }
  return out;
}

std::string join(const std::string& directory, std::string_view name) {
  if (directory.empty()) return std::string{name};
  std::string out;
  out.reserve(directory.size() + 1 + name.size());
  return out.append(directory).append("/").append(name);
}

std::pair<std::string, std::string> split_last(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, std::string{path}};
  return {std::string{path.substr(0, slash)}, std::string{path.substr(slash + 1)}};
}

}  // namespace holdfast::agent::worker::unpack
