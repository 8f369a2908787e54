#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "deploy/image/store/records.hpp"
#include "proto/worker/escaped_path.hpp"
#include "proto/worker/fetch.hpp"
#include "proto/worker/unpack.hpp"

/// What a child that was taken over may say to the daemon, what the daemon says to it, and the
/// store's records.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::deploy::image;
  namespace worker = holdfast::proto::worker;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto report = worker::decode_unpack_report(text)) {
    for (const auto& path : report->implicit_directories) {
      const auto again = worker::unescape_path(worker::escape_path(path));
      if (!again || *again != path) std::abort();
    }
  }
  (void)worker::decode_verify_report(text);
  (void)worker::decode_fetch_report(text);
  (void)worker::decode_unpack_job(text);
  (void)worker::decode_unpack_limits(text);
  (void)worker::decode_verify_job(text);
  (void)worker::decode_fetch_setup(text);
  if (const auto request = worker::decode_fetch_request(text)) {
    const auto again = worker::decode_fetch_request(worker::encode(*request));
    if (!again || again->url != request->url) std::abort();
  }
  (void)decode_layer_meta(text);
  if (const auto record = decode_image_record(text)) {
    if (!decode_image_record(encode(*record))) std::abort();
  }
  return 0;
}
