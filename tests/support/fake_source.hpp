#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <string>

#include "common/crypto/sha256.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/desired/source.hpp"
#include "tests/support/fake_clock.hpp"

namespace holdfast::test {

/// A source of values. It keeps the contract of deploy/desired/source.hpp (tests/contract/source).
class FakeSource final : public deploy::desired::Source {
 public:
  void publish(std::string text) {
    const std::lock_guard lock{mutex_};
    text_ = std::move(text);
    time_ = clock_.wall();
    (void)::eventfd_write(changed_.get(), 1);
  }
  void withdraw() {
    const std::lock_guard lock{mutex_};
    text_.reset();
    (void)::eventfd_write(changed_.get(), 1);
  }

  [[nodiscard]] const std::string& origin() const override { return origin_; }
  [[nodiscard]] int fd() const override { return changed_.get(); }
  [[nodiscard]] bool take_changes() override {
    eventfd_t count = 0;
    return ::eventfd_read(changed_.get(), &count) == 0;
  }
  [[nodiscard]] Result<deploy::desired::Candidate> read(const std::stop_token& stop) override {
    constexpr std::size_t kLimit = 1U << 20;
    const std::lock_guard lock{mutex_};
    if (!text_) return Error{Errc::not_found, "nothing is published"};
    if (stop.stop_requested()) return Error{Errc::cancelled, "read a value"};
    if (text_->size() > kLimit) return Error{Errc::too_large, "more than 1 MiB"};
    return deploy::desired::Candidate{
        .text = *text_, .sha256 = crypto::sha256_hex(*text_), .origin = origin_, .time = time_};
  }

 private:
  SystemClock clock_;
  std::string origin_ = "fake";
  os::UniqueFd changed_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex_;
  std::optional<std::string> text_;
  WallTime time_{};
};

}  // namespace holdfast::test
