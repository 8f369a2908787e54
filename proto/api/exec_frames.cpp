#include "proto/api/exec_frames.hpp"

#include <utility>

namespace holdfast::proto::api {
namespace {

constexpr std::size_t kHead = 5;
constexpr std::size_t kSizeBytes = 4;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

}  // namespace

std::string exec_frame(ExecFrame kind, std::string_view bytes) {
  std::string out;
  out.reserve(kHead + bytes.size());
  out += static_cast<char>(kind);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(bytes.size() >> shift);
  return out.append(bytes);
}

std::string exec_resize(TerminalSize size) {
  std::string bytes;
  for (const auto number : {size.rows, size.columns}) {
    bytes += static_cast<char>(number >> 8);
    bytes += static_cast<char>(number);
  }
  return exec_frame(ExecFrame::resize, bytes);
}

TerminalSize terminal_size_of(std::string_view bytes) {
  if (bytes.size() != kSizeBytes) return {};
  const auto number = [&](std::size_t at) {
    return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
  };
  return {number(0), number(2)};
}

bool ExecFrameReader::is_frame(std::uint8_t kind, std::size_t length) const {
  switch (static_cast<ExecFrame>(kind)) {
    case ExecFrame::input:
      return from_ == ExecSender::client && length <= kMostOfExecFrame;
    case ExecFrame::input_end:
      return from_ == ExecSender::client && length == 0;
    case ExecFrame::resize:
      return from_ == ExecSender::client && length == kSizeBytes;
    case ExecFrame::output:
    case ExecFrame::error_output:
    case ExecFrame::ended:
      return from_ == ExecSender::agent && length <= kMostOfExecFrame;
    case ExecFrame::input_closed:
      return from_ == ExecSender::agent && length == 0;
  }
  return false;
}

/// What was taken goes once for each piece: a piece may hold thousands of frames.
void ExecFrameReader::feed(std::string_view piece) {
  pending_.erase(0, std::exchange(taken_, 0));
  pending_.append(piece);
}

std::optional<ExecFrameReader::Frame> ExecFrameReader::next() {
  const auto left = std::string_view{pending_}.substr(taken_);
  if (failed_ || left.size() < kHead) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t at = 1; at < kHead; ++at) length = length << 8 | byte_at(left, at);
  const auto kind = byte_at(left, 0);
  failed_ = !is_frame(kind, length);
  if (failed_ || left.size() < kHead + length) return std::nullopt;
  taken_ += kHead + length;
  return Frame{static_cast<ExecFrame>(kind), std::string{left.substr(kHead, length)}};
}

}  // namespace holdfast::proto::api
