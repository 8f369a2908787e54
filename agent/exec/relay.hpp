#pragma once
/// \file
/// Bytes between the client of a session and its command, within bounds, until one of them ends.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::exec {

struct RelayLimits {
  std::size_t buffered = 256U << 10;  ///< of output, before its command has to wait
  std::size_t discarded = 1U << 20;   ///< of input after nobody reads it
  Milliseconds idle{4 * 3'600'000};   ///< nothing moved: as long as a kubelet's
  Milliseconds drain{200};            ///< for what is in the pipes when the command has ended
  Milliseconds flush{30'000};         ///< a reader that takes nothing of the last word for so long
};

/// The command's side. With a terminal `input` and `output` are the same end, duplicated.
struct CommandEnds {
  os::UniqueFd input;  ///< none: it has none
  os::UniqueFd output;
  os::UniqueFd errors;  ///< none: a terminal
};

enum class RelayEnd : std::uint8_t {
  command_ended,
  client_gone,
  bad_frame,  ///< the client sent what is no frame, or input that it may not send
  idle,
  told,  ///< the agent wants the session to end
  agent_gone,
};

/// Not thread safe. Holds `buffered` and a piece of output, and two frames of input at most:
/// whoever is faster waits for the other.
class Relay {
 public:
  struct Parts {
    int client;   ///< socket, non-blocking; stays the caller's
    int control;  ///< readable: `told`; at its end: `agent_gone`
    int command;  ///< pidfd
    CommandEnds ends;
    bool terminal = false;
    RelayLimits limits{};
  };
  explicit Relay(Parts parts);

  /// Blocks until either side ends.
  [[nodiscard]] RelayEnd run();
  /// Once the command has ended: what it had written goes to the client. False: the client has
  /// taken nothing for `patience`, and what it was sent ends within a frame.
  [[nodiscard]] bool drain(Milliseconds patience);
  [[nodiscard]] const RelayLimits& limits() const { return parts_.limits; }
  /// Closes the command's side.
  void hang_up() { parts_.ends = {}; }
  /// Sends these bytes after all others. As `drain`.
  [[nodiscard]] bool send(std::string_view frame);

 private:
  [[nodiscard]] bool flush(Milliseconds patience);
  [[nodiscard]] std::optional<RelayEnd> step();
  [[nodiscard]] std::optional<RelayEnd> read_client();
  [[nodiscard]] std::optional<RelayEnd> take(proto::api::ExecFrameReader::Frame frame);
  [[nodiscard]] std::optional<RelayEnd> take_input(std::string bytes);
  void write_input();
  void close_input();
  bool read_output(os::UniqueFd& from, proto::api::ExecFrame kind);
  [[nodiscard]] bool write_client();
  [[nodiscard]] bool has_room() const { return out_.size() < parts_.limits.buffered; }

  Parts parts_;
  SystemClock clock_;
  proto::api::ExecFrameReader reader_{proto::api::ExecSender::client};
  std::string input_;  ///< of one frame, on its way to the command
  std::string out_;    ///< frames on their way to the client
  bool takes_input_;   ///< the client may send some
  bool input_ended_ = false;
  std::size_t discarded_ = 0;
  BootTime moved_;  ///< when something moved last
};

}  // namespace holdfast::agent::exec
