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
/// Of nobody known a connection is not taken from before it could ask; who comes meanwhile waits in
/// the queue in front of the socket.
constexpr Milliseconds kTimeToAsk{20};
constexpr Milliseconds kUntilNextLook{5};
constexpr Milliseconds kUntilDescriptors{200};
constexpr uid_t kNobody = 65534;  ///< of a TCP client nothing is known
constexpr Holder kSomebody{kNobody, Role::none, Occupation::reading};

class ServerImpl final : public Server {
 public:
  ServerImpl(asio::io_context& io, Parts parts) : io_(io), parts_(std::move(parts)) {}
  ~ServerImpl() override {
    stop_accepting();
    close_all();
  }

  void accept_from(Listener which, int fd) override {
    auto& door = doors_[which];
    if (door) door->close();
    // A duplicate: the descriptor object closes its own, and the file stays with its owner.
    door = std::make_shared<Door>(io_, ::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    wait(which, door);
  }

  void stop_accepting() override {
    for (const auto& [which, door] : doors_) door->close();
    doors_.clear();
  }

  void close_all() override {
    const auto sessions = std::exchange(sessions_, {});
    for (const auto& open : sessions) open.session->close();
  }

  [[nodiscard]] std::size_t connections() const override { return sessions_.size(); }

 private:
  struct Door {
    Door(asio::io_context& io, int fd) : socket(io, fd), pause(io) {}
    void close() {
      error_code ignored;
      socket.close(ignored);
      pause.cancel();
    }
    asio::posix::stream_descriptor socket;
    asio::steady_timer pause;
  };
  using DoorPtr = std::shared_ptr<Door>;
  struct Open {
    std::shared_ptr<Session> session;
    Listener from;
    Holder holder;
    BootTime since;
  };

  [[nodiscard]] bool is_open(Listener which, const DoorPtr& door) const {
    const auto found = doors_.find(which);
    return found != doors_.end() && found->second == door;
  }

  void wait(Listener which, const DoorPtr& door) {
    door->socket.async_wait(asio::posix::descriptor_base::wait_read,
                            [this, which, door](const error_code& failed) {
                              if (failed || !is_open(which, door)) return;
                              const auto pause = accept_some(which, door->socket.native_handle());
                              if (pause == Milliseconds{0}) return wait(which, door);
                              wait_after(pause, which, door);
                            });
  }

  /// Meanwhile connections stay in the backlog.
  void wait_after(Milliseconds pause, Listener which, const DoorPtr& door) {
    door->pause.expires_after(pause);
    door->pause.async_wait([this, which, door](const error_code& cancelled) {
      if (!cancelled && is_open(which, door)) wait(which, door);
    });
  }

  /// After how long to go on: later when the process is out of descriptors or memory, or when all
  /// places are taken by who came just now.
  Milliseconds accept_some(Listener which, int listening) {
    for (int i = 0; i < kAcceptBurst; ++i) {
      if (which == Listener::metrics && !look_for_place(which, kSomebody).admitted)
        return kUntilNextLook;
      os::UniqueFd fd{::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (fd) {
        admit(which, std::move(fd));
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log::warn("event=accept_failed errno={}", errno);
        return kUntilDescriptors;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Milliseconds{0};
    }
    return Milliseconds{0};
  }

  void admit(Listener which, os::UniqueFd fd) {
    Session::Options options{.peer = {},
                             .claim = {},
                             .handler = parts_.handler,
                             .body_limit = parts_.body_limit,
                             .closed = [this](Session* gone) { forget(gone); }};
    auto newcomer = kSomebody;
    if (which == Listener::api) {
      auto peer = peer_of(fd.get());
      if (!peer) return;
      newcomer.uid = peer->uid;
      newcomer.role = parts_.role_of(*peer);
      options.peer = std::move(peer).value();
    }
    auto& bytes = which == Listener::api ? bytes_ : metrics_bytes_;
    options.claim = std::make_unique<ByteBudget::Claim>(bytes, newcomer.uid, newcomer.role);
    if (!make_room(which, newcomer)) return;
    auto session = Session::create(io_, std::move(fd), std::move(options));
    sessions_.push_back({session, which, newcomer, SystemClock{}.boot()});
    session->start();
  }

  struct Found {
    bool admitted = false;
    std::shared_ptr<Session> gives_way{};  ///< null: nobody has to
  };

  [[nodiscard]] Found look_for_place(Listener which, const Holder& newcomer) const {
    const auto now = SystemClock{}.boot();
    std::vector<Holder> holders;
    std::vector<std::shared_ptr<Session>> theirs;
    for (const auto& open : sessions_) {
      if (open.from != which) continue;
      const auto doing = open.session->occupation();
      const bool is_new = which == Listener::metrics && doing == Occupation::reading &&
                          now - open.since < kTimeToAsk;
      holders.push_back({open.holder.uid, open.holder.role, doing, is_new});
      theirs.push_back(open.session);
    }
    const auto placed =
        place(holders, newcomer, which == Listener::api ? kApiPlaces : kMetricsPlaces);
    return {placed.admitted, placed.gives_way ? theirs[*placed.gives_way] : nullptr};
  }

  bool make_room(Listener which, const Holder& newcomer) {
    const auto found = look_for_place(which, newcomer);
    if (found.gives_way) found.gives_way->close();
    return found.admitted;
  }

  void forget(Session* gone) {
    sessions_.remove_if([gone](const Open& open) { return open.session.get() == gone; });
  }

  asio::io_context& io_;
  Parts parts_;
  std::map<Listener, DoorPtr> doors_;
  ByteBudget bytes_{kApiBytes};
  ByteBudget metrics_bytes_{kMetricsBytes};
  std::list<Open> sessions_;  ///< oldest first
};

}  // namespace

std::unique_ptr<Server> Server::create(asio::io_context& io, Parts parts) {
  return std::make_unique<ServerImpl>(io, std::move(parts));
}

}  // namespace holdfast::agent::daemon
