#pragma once
#include <filesystem>

#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

/// The directory of all named volumes as the host sees it while the agent runs: mounted onto
/// itself, nosuid and nodev, so that a file that a container leaves in its volume gives nobody on
/// the host its owner's rights, also not when somebody opens the directories above it. What is
/// mounted below it by then is so as well. Where the operator has mounted something there, that is
/// made nosuid and nodev, and stays the operator's. Containers have mounts of their own, which this
/// neither makes nor takes away.
class VolumesMount {
 public:
  /// `volumes` exists. Takes over the mount that an agent which was killed has left. Errors: io,
  /// perm.
  [[nodiscard]] static Result<VolumesMount> make(const std::filesystem::path& volumes);
  VolumesMount(VolumesMount&& other) noexcept : volumes_(std::move(other.volumes_)) {
    other.volumes_.clear();
  }
  VolumesMount& operator=(VolumesMount&&) = delete;
  /// Unmounts it, unless something is mounted below or it is in use: then the next agent has it.
  ~VolumesMount();

 private:
  explicit VolumesMount(std::filesystem::path volumes) : volumes_(std::move(volumes)) {}
  std::filesystem::path volumes_;
};

/// Makes what was mounted at `volumes`, or below it, since `VolumesMount` was made as harmless as
/// that: called where a volume comes into use. Nothing while nothing is mounted at `volumes`; a
/// mount that cannot be changed is logged. Thread safe.
void confine_later_mounts(const std::filesystem::path& volumes);

}  // namespace holdfast::deploy::runtime
