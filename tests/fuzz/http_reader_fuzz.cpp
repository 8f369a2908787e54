#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "deploy/probe/http_reader.hpp"

/// What a container answers to a probe, read by the agent as root: whatever the bytes, however they
/// are cut, the reader stays within its limits and comes to the same end.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using holdfast::deploy::probe::HttpReader;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto read = [&](std::size_t step) {
    HttpReader reader;
    for (std::size_t at = 0; at < text.size(); at += step) reader.feed(text.substr(at, step));
    if (reader.body().size() > HttpReader::kBodyLimit) std::abort();
    reader.end();
    using State = HttpReader::State;
    if (reader.state() != State::done && reader.state() != State::broken) std::abort();
    if (reader.state() == State::done && !reader.status()) std::abort();
    if (reader.state() == State::broken && reader.fault().empty()) std::abort();
    if (reader.status() && (*reader.status() < 100 || *reader.status() > 599)) std::abort();
    return reader;
  };
  if (size == 0) return 0;
  const auto whole = read(size);
  const auto in_pieces = read(std::max<std::size_t>(1, size / 7));
  if (whole.state() == HttpReader::State::done &&
      (in_pieces.state() != whole.state() || in_pieces.status() != whole.status() ||
       in_pieces.body() != whole.body()))
    std::abort();
  return 0;
}
