#include "deploy/runtime/observe/upper_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
using Listing = std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })>;

Listing list(os::UniqueFd directory) {
  Listing listing{::fdopendir(directory.get())};
  if (listing) (void)directory.release();
  return listing;
}

class Walk {
 public:
  Walk(const WalkBounds& bounds, const std::stop_token& stop)
      : bounds_(bounds), stop_(stop), deadline_(clock_.boot() + bounds.time) {}

  WrittenPaths below(os::UniqueFd upper) {
    descend(std::move(upper), "");
    while (!levels_.empty() && !found_.more) {
      auto& [listing, path] = levels_.back();
      if (const auto* entry = ::readdir(listing.get())) {
        take(::dirfd(listing.get()), entry->d_name, path);
      } else {
        levels_.pop_back();
      }
    }
    std::sort(found_.paths.begin(), found_.paths.end());
    return std::move(found_);
  }

 private:
  void descend(os::UniqueFd directory, std::string path) {
    if (levels_.size() >= bounds_.levels) {
      found_.more = true;
    } else if (auto listing = list(std::move(directory))) {
      levels_.emplace_back(std::move(listing), std::move(path));
    }
  }

  void take(int directory, const char* name, const std::string& parent) {
    if (std::string_view{name} == "." || std::string_view{name} == "..") return;
    constexpr std::size_t kLooksAtClock = 256;
    const bool late = found_.entries % kLooksAtClock == 0 &&
                      (stop_.stop_requested() || clock_.boot() >= deadline_);
    if (late || found_.entries >= bounds_.entries) {
      found_.more = true;
      return;
    }
    ++found_.entries;
    struct stat info {};
    if (::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;
    auto path = fmt::format("{}/{}", parent, name);
    if (S_ISDIR(info.st_mode)) {
      os::UniqueFd inner{::openat(directory, name, kDirectory)};
      if (inner) descend(std::move(inner), std::move(path));
      return;
    }
    bytes_ += path.size();
    found_.more = bytes_ > bounds_.bytes;
    const bool gone = S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
    found_.paths.push_back((gone ? "deleted " : "") + printable(path));
  }

  const WalkBounds bounds_;
  const std::stop_token& stop_;
  const SystemClock clock_;
  const BootTime deadline_;
  std::vector<std::pair<Listing, std::string>> levels_;
  std::size_t bytes_ = 0;
  WrittenPaths found_;
};

}  // namespace

Result<WrittenPaths> written_paths(const std::filesystem::path& upper, const WalkBounds& bounds,
                                   const std::stop_token& stop) {
  HF_ASSIGN(auto directory, os::open_file(upper, kDirectory));
  return Walk{bounds, stop}.below(std::move(directory));
}

std::string writes_text(const std::vector<std::string>& paths, const WrittenPaths& walked) {
  constexpr std::size_t kNamed = 3;
  const auto shown = std::min(paths.size(), kNamed);
  auto text = fmt::format(
      "{}", fmt::join(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (walked.more)
    return fmt::format("{}{}more than {} entries", text, text.empty() ? "" : " and ",
                       std::max<std::size_t>(walked.entries, 1) - 1);
  if (paths.size() > shown) text += fmt::format(" and {} more", paths.size() - shown);
  return text;
}

}  // namespace holdfast::deploy::runtime
