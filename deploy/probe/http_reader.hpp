#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::deploy::probe {

/// Reads one HTTP/1.x response piece by piece: status line, the two headers that frame a body, and
/// the first 64 KiB of the body (RFC 9112, sections 4, 6 and 7.1). Lenient where a health check
/// need not judge (bare line feeds, other headers), strict in sizes. Pure; no text of the peer goes
/// anywhere but `body`.
class HttpReader {
 public:
  static constexpr std::size_t kHeaderLimit = 16U << 10;
  static constexpr std::size_t kBodyLimit = 64U << 10;

  enum class State : std::uint8_t { head, body, done, broken };

  /// Takes what has come. Interim responses (1xx) are skipped.
  void feed(std::string_view bytes);
  /// The peer has closed. Completes a body that is framed by that; breaks one that is not yet
  /// whole.
  void end();

  [[nodiscard]] State state() const { return state_; }
  /// 100 to 599 once the head was read.
  [[nodiscard]] std::optional<int> status() const { return status_; }
  /// Decoded, cut off at the limit.
  [[nodiscard]] const std::string& body() const { return body_; }
  /// What is wrong, when broken: "not an HTTP response".
  [[nodiscard]] std::string_view fault() const { return fault_; }

 private:
  enum class Framing : std::uint8_t { length, chunked, until_close };

  void fail(std::string_view fault);
  void read_head();
  [[nodiscard]] bool read_status(std::string_view line);
  void read_field(std::string_view line);
  void read_body();
  void read_chunks();
  void take_body(std::size_t size);

  State state_ = State::head;
  std::string pending_;
  std::string body_;
  std::string_view fault_;
  std::optional<int> status_;
  Framing framing_ = Framing::until_close;
  std::uint64_t left_ = 0;  ///< of the body, or of the chunk
  bool in_chunk_ = false;
};

}  // namespace holdfast::deploy::probe
