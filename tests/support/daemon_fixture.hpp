#pragma once
/// \file
/// The daemon in a process of its own, on a fake engine, and a client that can also misbehave.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/daemon/daemon.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "tests/support/fake_engine.hpp"

namespace holdfast::test {

struct HttpReply {
  int status = 0;  ///< 0: the connection ended without an answer
  std::string head;
  std::string body;  ///< chunks already joined
};

/// A connection over the unix socket or TCP. Blocking, with a timeout of 5 s on each read.
class RawClient {
 public:
  static RawClient over_socket(const std::filesystem::path& path);
  static RawClient over_tcp(std::uint16_t port);
  [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }
  void send(std::string_view bytes) const;
  /// Until the peer closes, or the timeout.
  [[nodiscard]] std::string read_all() const;
  /// Until `text` has arrived (it is included), the end, or the timeout.
  [[nodiscard]] std::string read_until(std::string_view text) const;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  os::UniqueFd fd_;
};

[[nodiscard]] HttpReply parse_reply(const std::string& raw);

/// A valid document; `tag` makes it a different one.
[[nodiscard]] std::string document(std::string_view tag);
/// Its JSON for /v1/apply.
[[nodiscard]] std::string apply_body(std::string_view tag, std::string_view reason = "test");

/// Resident bytes of a process at their highest so far.
[[nodiscard]] std::uint64_t most_memory_of(pid_t pid);

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  [[nodiscard]] std::filesystem::path dir() const { return temporary_->path(); }
  [[nodiscard]] std::filesystem::path socket() const { return config_.socket; }
  /// Starts it and waits until it is ready.
  void start();
  /// Starts it and returns at once.
  void launch();
  void signal(int number) const;
  /// Waits for its end, at most 15 s. Exit code, or 128 + signal; -1: it still runs.
  int wait();
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// What it logged so far.
  [[nodiscard]] std::string log() const;

  [[nodiscard]] HttpReply request(std::string_view method, std::string_view target,
                                  std::string_view body = "") const;
  [[nodiscard]] HttpReply get(std::string_view target) const { return request("GET", target); }
  [[nodiscard]] HttpReply raw(std::string_view bytes) const;
  /// Repeats `check` for at most 5 s.
  [[nodiscard]] bool eventually(const std::function<bool()>& check) const;

  proto::AgentConfig config_;
  FakeEngine::Options engine_;
  std::vector<std::string> environment_;  ///< "NAME=value" for the daemon
  std::uint16_t metrics_port_ = 0;

 private:
  std::unique_ptr<os::TempDir> temporary_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::test
