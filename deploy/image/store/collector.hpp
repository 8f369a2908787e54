#pragma once
#include <set>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/store/store.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// Finds and removes what nobody needs (packaging/doc/design.md 5, Collection). Used once.
class Collector {
 public:
  /// `keep` besides what is retained and leased.
  Collector(Store& store, const std::set<proto::Digest>& keep) : store_(store), keep_(keep) {}

  /// What would go, and why the rest stays. Touches nothing. Errors: by errno.
  [[nodiscard]] Result<CollectionPlan> plan();
  /// Removes it; the plan holds what really went. Repeat safe. Errors: by errno, cancelled.
  [[nodiscard]] Result<CollectionPlan> run(const std::stop_token& stop);

 private:
  Status look();
  Status look_at_images();
  Status look_at_layers();
  Status look_at_blobs();
  Status look_at_replaced();
  void need(const ImageRecord& record);
  [[nodiscard]] std::vector<std::string> reasons(const proto::Digest& pinned) const;
  Status drop_ended_leases();
  Status drop_records(CollectionPlan& done);
  Status take_away(const CollectionPlan::Item& item, const std::filesystem::path& what,
                   const std::filesystem::path& trash, CollectionPlan& done);

  Store& store_;
  const std::set<proto::Digest>& keep_;
  CollectionPlan plan_;
  std::set<std::string> needed_;  ///< names of layers and blobs of the images that stay
};

/// Names in a directory. Errors: by errno.
[[nodiscard]] Result<std::vector<std::string>> names_in(const std::filesystem::path& directory);

}  // namespace holdfast::deploy::image
