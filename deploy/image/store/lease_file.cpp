#include "deploy/image/store/lease_file.hpp"

#include <boost/json.hpp>

#include "common/os/file.hpp"
#include "proto/json/fields.hpp"

namespace holdfast::deploy::image {

namespace bj = boost::json;
using proto::json::json_object;
using proto::json::string_field;

Status write_lease(const Paths& paths, const KeptLease& lease) {
  if (const auto former = read_lease(paths, lease.image); former && former->until >= lease.until)
    return ok();
  const auto text =
      bj::serialize(bj::object{{"until", to_rfc3339(lease.until)}, {"by", lease.by}}) + "\n";
  return os::write_atomic(paths.lease(lease.image), text);
}

std::optional<KeptLease> read_lease(const Paths& paths, const proto::Digest& image) {
  constexpr std::size_t kMost = 4096;
  const auto text = os::read_regular_file(paths.lease(image), kMost);
  if (!text) return std::nullopt;
  const auto fields = json_object(*text, Errc::io);
  if (!fields) return std::nullopt;
  const auto until = parse_rfc3339(string_field(*fields, "until"));
  if (!until) return std::nullopt;
  return KeptLease{image, *until, string_field(*fields, "by")};
}

Result<std::vector<KeptLease>> read_leases(const Paths& paths) {
  std::vector<KeptLease> leases;
  std::error_code error;
  for (std::filesystem::directory_iterator it{paths.leases(), error};
       !error && it != std::filesystem::directory_iterator{}; it.increment(error)) {
    const auto digest = proto::Digest::parse("sha256:" + it->path().stem().string());
    if (!digest || it->path().extension() != ".json") continue;
    if (auto lease = read_lease(paths, *digest)) leases.push_back(*std::move(lease));
  }
  if (error) return errno_error(error.value(), "list " + paths.leases().string());
  return leases;
}

}  // namespace holdfast::deploy::image
