#include "agent/daemon/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <list>
#include <map>
#include <vector>

#include "agent/daemon/access.hpp"
#include "agent/daemon/places.hpp"
#include "agent/daemon/session.hpp"
#include "common/log/log.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr int kAcceptBurst = 32;
constexpr uid_t kNobody = 65534;  ///< of a TCP client nothing is known

class ServerImpl final : public Server {
 public:
  ServerImpl(asio::io_context& io, Parts parts) : io_(io), parts_(std::move(parts)), pause_(io) {}
  ~ServerImpl() override {
    stop_accepting();
    close_all();
  }

  void accept_from(Listener which, int fd) override {
    auto& slot = listeners_[which];
    if (slot) close(*slot);
    // A duplicate: the descriptor object closes its own, and the file stays with its owner.
    slot = std::make_shared<asio::posix::stream_descriptor>(io_, ::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    wait(which, slot);
  }

  void stop_accepting() override {
    for (const auto& [which, slot] : listeners_) close(*slot);
    listeners_.clear();
    pause_.cancel();
  }

  void close_all() override {
    const auto sessions = std::exchange(sessions_, {});
    for (const auto& open : sessions) open.session->close();
  }

  [[nodiscard]] std::size_t connections() const override { return sessions_.size(); }

 private:
  using Slot = std::shared_ptr<asio::posix::stream_descriptor>;
  struct Open {
    std::shared_ptr<Session> session;
    Listener from;
    Holder holder;
  };

  static void close(asio::posix::stream_descriptor& descriptor) {
    error_code ignored;
    descriptor.close(ignored);
  }

  void wait(Listener which, const Slot& slot) {
    slot->async_wait(
        asio::posix::descriptor_base::wait_read, [this, which, slot](const error_code& failed) {
          if (failed || listeners_.find(which) == listeners_.end() || listeners_[which] != slot)
            return;
          if (accept_some(which, slot->native_handle())) return wait(which, slot);
          // Out of descriptors: the connection stays in the backlog; look again when some may have
          // been freed.
          pause_.expires_after(std::chrono::milliseconds{200});
          pause_.async_wait([this, which, slot](const error_code& cancelled) {
            if (!cancelled) wait(which, slot);
          });
        });
  }

  /// False when the process is out of descriptors or memory.
  bool accept_some(Listener which, int listening) {
    for (int i = 0; i < kAcceptBurst; ++i) {
      os::UniqueFd fd{::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (fd) {
        admit(which, std::move(fd));
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log::warn("event=accept_failed errno={}", errno);
        return false;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    }
    return true;
  }

  void admit(Listener which, os::UniqueFd fd) {
    Session::Options options{.peer = {},
                             .claim = {},
                             .handler = parts_.handler,
                             .body_limit = parts_.body_limit,
                             .closed = [this](Session* gone) { forget(gone); }};
    Holder newcomer{kNobody, Role::none, Occupation::reading};
    if (which == Listener::api) {
      auto peer = peer_of(fd.get());
      if (!peer) return;
      newcomer.uid = peer->uid;
      newcomer.role = parts_.role_of(*peer);
      options.claim = std::make_unique<ByteBudget::Claim>(bytes_, newcomer.uid, newcomer.role);
      options.peer = std::move(peer).value();
    }
    if (!make_room(which, newcomer)) return;
    auto session = Session::create(io_, std::move(fd), std::move(options));
    sessions_.push_back({session, which, newcomer});
    session->start();
  }

  bool make_room(Listener which, const Holder& newcomer) {
    std::vector<Holder> holders;
    std::vector<std::shared_ptr<Session>> theirs;
    for (const auto& open : sessions_) {
      if (open.from != which) continue;
      holders.push_back({open.holder.uid, open.holder.role, open.session->occupation()});
      theirs.push_back(open.session);
    }
    const auto placed =
        place(holders, newcomer, which == Listener::api ? kApiPlaces : kMetricsPlaces);
    if (placed.gives_way) theirs[*placed.gives_way]->close();
    return placed.admitted;
  }

  void forget(Session* gone) {
    sessions_.remove_if([gone](const Open& open) { return open.session.get() == gone; });
  }

  asio::io_context& io_;
  Parts parts_;
  asio::steady_timer pause_;
  std::map<Listener, Slot> listeners_;
  ByteBudget bytes_{kApiBytes};
  std::list<Open> sessions_;  ///< oldest first
};

}  // namespace

std::unique_ptr<Server> Server::create(asio::io_context& io, Parts parts) {
  return std::make_unique<ServerImpl>(io, std::move(parts));
}

}  // namespace holdfast::agent::daemon
