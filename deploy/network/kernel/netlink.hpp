#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

struct nlmsghdr;

namespace holdfast::deploy::network {

/// A netlink socket of the calling thread's network namespace. Not thread safe. Errors of the
/// kernel come back by errno, with `ENOENT` as not_found.
class Netlink {
 public:
  using OnMessage = std::function<Status(const nlmsghdr&)>;

  /// `protocol`: NETLINK_NETFILTER, NETLINK_ROUTE.
  [[nodiscard]] static Result<Netlink> open(int protocol);

  [[nodiscard]] std::uint32_t next_sequence() { return ++sequence_; }

  /// Sends one or several messages in one call and reads the answers up to the acknowledgement, or
  /// the end of the dump, of the one numbered `last_sequence`. The first error of any of them is
  /// the outcome. `doing` names it in the error.
  [[nodiscard]] Status exchange(std::string_view messages, std::uint32_t last_sequence,
                                std::string_view doing, const OnMessage& on_message = {});

 private:
  explicit Netlink(os::UniqueFd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] Status receive(std::uint32_t last_sequence, std::string_view doing,
                               const OnMessage& on_message);
  void drain();

  os::UniqueFd fd_;
  std::uint32_t sequence_ = 0;
};

}  // namespace holdfast::deploy::network
