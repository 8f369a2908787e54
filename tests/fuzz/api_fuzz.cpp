#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/api/codec.hpp"
#include "proto/ledger/entry.hpp"

/// Requests of the API's clients and entries of the ledger: what is read is written the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto round_trip = [&]<class T>(const T*) {
    const auto request = api::decode<T>(text);
    if (!request) return;
    const auto written = api::encode(*request);
    const auto again = api::decode<T>(written);
    if (!again || api::encode(*again) != written) std::abort();
  };
  round_trip(static_cast<const api::ApplyRequest*>(nullptr));
  round_trip(static_cast<const api::HoldRequest*>(nullptr));
  round_trip(static_cast<const api::ResumeRequest*>(nullptr));
  round_trip(static_cast<const api::QuarantineRequest*>(nullptr));
  round_trip(static_cast<const api::ReleaseRequest*>(nullptr));
  round_trip(static_cast<const api::RollbackRequest*>(nullptr));
  round_trip(static_cast<const api::RehearseRequest*>(nullptr));
  round_trip(static_cast<const api::StandbyDropRequest*>(nullptr));
  round_trip(static_cast<const api::ImagePullRequest*>(nullptr));
  round_trip(static_cast<const api::ImageVerifyRequest*>(nullptr));
  round_trip(static_cast<const api::ImageExportRequest*>(nullptr));
  round_trip(static_cast<const api::ImageImportRequest*>(nullptr));
  round_trip(static_cast<const api::ImageGcRequest*>(nullptr));
  if (const auto entry = decode_entry(text)) {
    const auto written = encode_entry(*entry);
    const auto again = decode_entry(written);
    if (!again || encode_entry(*again) != written) std::abort();
  }
  return 0;
}
