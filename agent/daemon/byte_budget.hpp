#pragma once
/// \file
/// Memory for what others send slowly and take slowly.

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "agent/daemon/access.hpp"

namespace holdfast::agent::daemon {

/// Of everybody but root.
struct ByteLimits {
  std::size_t all = 0;
  std::size_t of_one_user = 0;  ///< one claim alone may be larger
  std::size_t kept_for_each_role = 0;
  std::size_t uncounted = 0;  ///< so small a claim costs nothing: places.hpp bounds their number
};
/// A rollback and its answer are among the uncounted.
inline constexpr ByteLimits kApiBytes{10U << 20, 4U << 20, 1U << 20, 16U << 10};
/// Of all who scrape together, as nothing is known of them: answers of some hundred services each.
inline constexpr ByteLimits kMetricsBytes{6U << 20, 6U << 20, 0, 16U << 10};

/// Bytes of requests that have not arrived or are being worked on, and of answers that have not
/// been taken, of all connections together. Root always finds room and takes none of the others',
/// and each role finds what is kept for it. Thread safe: who works on a request last, on any
/// thread, gives back what it held. Outlives its claims.
class ByteBudget {
 public:
  explicit ByteBudget(ByteLimits limits) : limits_(limits) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  /// What one connection holds; given back at the latest by the destructor.
  class Claim {
   public:
    Claim(ByteBudget& budget, uid_t uid, Role role);
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim() { (void)resize(0); }

    /// False when there is no room for it; then it holds what it held. Less is always granted.
    [[nodiscard]] bool resize(std::size_t bytes);
    /// It holds something, and since the last call somebody found no room for want of what others
    /// hold.
    [[nodiscard]] bool is_wanted();

   private:
    ByteBudget& budget_;
    uid_t uid_;
    Role role_;
    std::size_t held_ = 0;
    std::uint64_t known_refusals_ = 0;
  };

  /// By others than root.
  [[nodiscard]] std::size_t held() const;

 private:
  [[nodiscard]] std::size_t sum() const;
  [[nodiscard]] std::size_t kept_for(Role role) const;
  [[nodiscard]] bool has_room(Role role, std::size_t more) const;

  ByteLimits limits_;
  mutable std::mutex mutex_;
  std::array<std::size_t, proto::api::kRoleNames.size()> by_role_{};  ///< without root
  std::map<uid_t, std::size_t> by_user_;                              ///< who holds something
  std::uint64_t refusals_ = 0;                                        ///< there was no room
};

}  // namespace holdfast::agent::daemon
