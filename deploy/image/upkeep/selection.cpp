#include "deploy/image/upkeep/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/base/text.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr std::chrono::hours kLease{24};
constexpr std::size_t kLeastDigits = 6;

bool means(const std::string& name, const ImageInfo& info) {
  if (name == info.reference) return true;
  const auto digits = name.starts_with("sha256:") ? name.substr(7) : name;
  if (digits.size() >= kLeastDigits &&
      digits.find_first_not_of("0123456789abcdef") == std::string::npos)
    return info.pinned.hex().starts_with(digits);
  const auto ref = proto::ImageRef::parse(name);
  return ref && ref->digest == info.pinned;
}

}  // namespace

Result<std::set<proto::Digest>> select_images(const std::vector<std::string>& names,
                                              const std::vector<ImageInfo>& all) {
  std::set<proto::Digest> found;
  for (const auto& name : names) {
    std::set<proto::Digest> matching;
    for (const auto& info : all) {
      if (means(name, info)) matching.insert(info.pinned);
    }
    if (matching.empty())
      return Error{Errc::not_found, fmt::format("there is no image {} here", printable(name))}.hint(
          "`holdfast image list` shows those that are");
    if (matching.size() > 1)
      return Error{Errc::conflict,
                   fmt::format("{} images begin with {}", matching.size(), printable(name))}
          .hint("write more digits");
    found.merge(matching);
  }
  return found;
}

std::vector<ImageInfo> damaged_of(const std::vector<ImageInfo>& all,
                                  const std::set<proto::Digest>& wanted) {
  std::vector<ImageInfo> damaged;
  std::copy_if(all.begin(), all.end(), std::back_inserter(damaged), [&](const auto& info) {
    return !info.damage.empty() && (wanted.empty() || wanted.contains(info.pinned));
  });
  return damaged;
}

Result<WallTime> lease_end(const std::string& until, WallTime now) {
  if (until.empty()) return now + kLease;
  auto time = parse_rfc3339(until);
  if (!time) return std::move(time).error().in("until");
  if (*time <= now)
    return Error{Errc::usage, fmt::format("until: {} is in the past", to_rfc3339(*time))};
  return time;
}

}  // namespace holdfast::deploy::image
