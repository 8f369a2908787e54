#pragma once
/// \file
/// What goes over the connection of an exec session, both ways: a byte that says what a frame is,
/// its length as four bytes (most significant first), and its bytes. Pure; not thread safe.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::proto::api {

/// The protocol's name in the Upgrade field.
inline constexpr std::string_view kExecProtocol = "holdfast-exec";

enum class ExecFrame : std::uint8_t {
  // From the client.
  input = 0,      ///< bytes for standard input
  input_end = 1,  ///< no more of them; empty
  resize = 2,     ///< of the terminal: rows and columns, two bytes each
  // From the agent.
  output = 16,
  error_output = 17,
  input_closed = 18,  ///< nobody reads standard input any more; empty
  ended = 19,         ///< an ExecEnd as JSON; the last frame
};
enum class ExecSender : std::uint8_t { client, agent };

/// Of one frame's bytes.
inline constexpr std::size_t kMostOfExecFrame = 64U << 10;

struct TerminalSize {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  bool operator==(const TerminalSize&) const = default;
};

/// `bytes` are kMostOfExecFrame at most.
[[nodiscard]] std::string exec_frame(ExecFrame kind, std::string_view bytes = {});
[[nodiscard]] std::string exec_resize(TerminalSize size);
/// Of a frame that the reader gave out.
[[nodiscard]] TerminalSize terminal_size_of(std::string_view bytes);

/// Frames out of bytes, whatever the pieces they come in. Holds one frame and one piece at most.
class ExecFrameReader {
 public:
  explicit ExecFrameReader(ExecSender from) : from_(from) {}

  struct Frame {
    ExecFrame kind{};
    std::string bytes;
    bool operator==(const Frame&) const = default;
  };
  void feed(std::string_view piece);
  /// The next whole one; none: more has to come, or it is not a frame, which is so for ever.
  [[nodiscard]] std::optional<Frame> next();
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] bool is_frame(std::uint8_t kind, std::size_t length) const;

  ExecSender from_;
  std::string pending_;
  std::size_t taken_ = 0;  ///< of `pending_`
  bool failed_ = false;
};

}  // namespace holdfast::proto::api
