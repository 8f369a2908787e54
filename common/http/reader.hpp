#pragma once
/// \file
/// HTTP/1.1 messages (RFC 9112) as they arrive, piece by piece, by Beast's parser. No sockets, no
/// event loop. Not thread safe.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::http {

/// What a reader takes; more is a fault.
struct Limits {
  std::uint32_t head_bytes = 16U << 10;     ///< first line and fields
  std::optional<std::uint64_t> body_bytes;  ///< none: the caller takes the body away as it comes
};

enum class Fault : std::uint8_t { none, malformed, head_too_large, body_too_large, cut_off };

struct Request {
  std::string method;  ///< as it was sent
  std::string target;  ///< still encoded
  std::string body;
  std::optional<std::string> last_event_id;
  std::string upgrade;  ///< the protocol that the connection is to go on with; empty: none
  std::optional<std::string> host;           ///< as it was sent; empty when there were several
  std::optional<std::string> authorization;  ///< the same
  bool takes_chunks = true;                  ///< HTTP/1.1: an answer may come in chunks
};

struct Response {
  unsigned status = 0;
  std::string content_type;
  std::string body;  ///< what has come since it was taken
};

/// Reads one message; what comes after its end is left over.
template <class Message>
class Reader {
 public:
  explicit Reader(Limits limits);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  /// Takes what has come. After a fault, nothing more.
  void feed(std::string_view bytes);
  /// The peer has closed: completes a body that is framed by that, else the fault is cut_off.
  void end();

  [[nodiscard]] bool head_done() const;
  [[nodiscard]] bool done() const;
  [[nodiscard]] Fault fault() const;
  /// Of a malformed message: "bad method".
  [[nodiscard]] std::string fault_text() const;
  /// Bytes after the end of the message.
  [[nodiscard]] std::size_t left_over() const;
  /// The same bytes, taken away: of what the connection goes on with after a 101.
  [[nodiscard]] std::string take_left_over();
  /// Head once `head_done`, body as far as it has come.
  [[nodiscard]] Message& message();
  [[nodiscard]] const Message& message() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using RequestReader = Reader<Request>;
using ResponseReader = Reader<Response>;

}  // namespace holdfast::http
