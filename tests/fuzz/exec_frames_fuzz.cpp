#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/api/exec_frames.hpp"

/// What a client or an agent may send in a session: within bounds, the same however it is cut, and
/// written again it is the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto::api;
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  for (const auto from : {ExecSender::client, ExecSender::agent}) {
    ExecFrameReader whole{from};
    ExecFrameReader cut{from};
    whole.feed(bytes);
    std::string written;
    std::string pieces;
    while (const auto frame = whole.next()) {
      if (frame->bytes.size() > kMostOfExecFrame) std::abort();
      written += exec_frame(frame->kind, frame->bytes);
    }
    for (const char byte : bytes) {
      cut.feed({&byte, 1});
      while (const auto frame = cut.next()) pieces += exec_frame(frame->kind, frame->bytes);
    }
    if (written != pieces || !bytes.starts_with(written) || whole.failed() != cut.failed())
      std::abort();
  }
  return 0;
}
