#include "common/base/in_root.hpp"

#include <deque>

#include "common/base/text.hpp"

namespace holdfast {

Result<std::string> walk_in_root(std::string_view path, const LinkAt& link_at, Errc loop) {
  constexpr int kMaxSymlinks = 40;
  const auto parts = split(path, '/');
  std::deque<std::string> left{parts.begin(), parts.end()};
  std::string at;
  int symlinks = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      const auto slash = at.rfind('/');
      at.erase(slash == std::string::npos ? 0 : slash);
      continue;
    }
    std::string next = at.empty() ? name : at + "/" + name;
    HF_ASSIGN(const auto link, link_at(next));
    if (!link) {
      at = std::move(next);
      continue;
    }
    if (++symlinks > kMaxSymlinks)
      return Error{loop, "too many symlinks on the way to " + printable(path)};
    const auto pieces = split(*link, '/');
    left.insert(left.begin(), pieces.begin(), pieces.end());
    if (link->starts_with('/')) at.clear();
  }
  return at;
}

}  // namespace holdfast
