#pragma once
/// \file
/// What the readers of volumes, tmpfs, secrets and configs share. Internal to proto/deployment.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/deployment/readers.hpp"

namespace holdfast::proto {

/// Where each mount point of the service was first written.
class MountTargets {
 public:
  /// Reports a second mount on the same path.
  void claim(const yaml::Located<std::string>& target, yaml::Findings& findings);

 private:
  std::map<std::string, yaml::Mark, std::less<>> first_;
};

/// A path that something may be mounted on; reports one that is none.
bool accept_target(yaml::Findings& findings, const yaml::Located<std::string>& target,
                   std::string_view where);
/// `target` of a mount or file, claimed.
[[nodiscard]] std::optional<std::string> read_target(yaml::Fields& fields, MountTargets& targets);
/// `mode`, written as chmod(1) takes it.
[[nodiscard]] std::optional<FileMode> read_mode(yaml::Fields& fields, json::Object& canon);
/// `owner`, as `security.user`; empty when there is none.
[[nodiscard]] std::string read_owner(yaml::Fields& fields, json::Object& canon);

/// Sorted by their own text: the order of these lists means nothing.
void set_sorted(json::Object& canon, std::string_view key, std::vector<std::string> fragments);
/// A text in place of a mapping, as compose files allow; true when it was refused.
bool refuse_text(const yaml::Node& node, const std::string& path, yaml::Findings& findings,
                 std::string (*hint)(const yaml::Node&));

/// Calls `read(node, path, fragments)` for each item of a list, and sets what it collected.
template <class Read>
void each_item(yaml::Fields& service, std::string_view key, json::Object& canon, Read read) {
  const auto* items = service.list(key);
  if (items == nullptr) return;
  std::vector<std::string> fragments;
  for (std::size_t i = 0; i < items->size(); ++i)
    read((*items)[i], std::string{service.path(key)} + "[" + std::to_string(i) + "]", fragments);
  set_sorted(canon, key, std::move(fragments));
}

/// `secrets` and `configs`.
void read_files(yaml::Fields& service, MountTargets& targets, ServiceDraft& draft);

}  // namespace holdfast::proto
