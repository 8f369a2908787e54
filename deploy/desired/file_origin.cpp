#include "deploy/desired/file_origin.hpp"

#include <fmt/format.h>

#include "common/os/guarded_path.hpp"
#include "deploy/desired/file_source.hpp"
#include "proto/trust/envelope.hpp"

namespace holdfast::deploy::desired {

Result<std::unique_ptr<SignedOrigin>> FileOrigin::watch(std::filesystem::path path) {
  HF_ASSIGN(auto file, FileSource::watch(path, proto::trust::kMostEnvelopeBytes));
  return std::unique_ptr<SignedOrigin>{new FileOrigin{std::move(path), std::move(file)}};
}

Result<SignedBytes> FileOrigin::document(Freshness, const std::stop_token& stop) {
  HF_ASSIGN(auto read, file_->read(stop));
  return SignedBytes{.text = std::move(read.text)};
}

Result<std::string> FileOrigin::root(std::uint64_t version, const std::stop_token&) {
  return os::read_trusted(path_.parent_path() / fmt::format("{}.root.json", version),
                          proto::trust::kMostEnvelopeBytes);
}

}  // namespace holdfast::deploy::desired
