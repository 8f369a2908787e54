#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/api/codec.hpp"
#include "proto/api/operations.hpp"
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
  const auto round_trip_of = [&]<class Operation>(const Operation*) {
    using Request = typename Operation::Request;
    if constexpr (Operation::kRow.method == api::Method::post &&
                  !std::is_same_v<Request, api::Nothing>)
      round_trip(static_cast<const Request*>(nullptr));
  };
  [&]<class... Ops>(std::tuple<Ops...>*) {
    (round_trip_of(static_cast<const Ops*>(nullptr)), ...);
  }(static_cast<api::Operations*>(nullptr));
  if (const auto entry = decode_entry(text)) {
    const auto written = encode_entry(*entry);
    const auto again = decode_entry(written);
    if (!again || encode_entry(*again) != written) std::abort();
  }
  return 0;
}
