#include "deploy/image/layers/tee.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::image {
namespace {
constexpr int kPollMs = 200;
constexpr std::size_t kPiece = 256U << 10;
}  // namespace

Result<std::unique_ptr<Tee>> Tee::start(os::UniqueFd from, os::UniqueFd to,
                                        const std::filesystem::path& file) {
  HF_ASSIGN(auto fd, os::open_file(file, O_WRONLY | O_CREAT | O_TRUNC));
  std::unique_ptr<Tee> tee{new Tee{std::move(from), std::move(to), std::move(fd)}};
  tee->thread_ = std::jthread{[raw = tee.get()](const std::stop_token& stop) { raw->run(stop); }};
  return tee;
}

void Tee::run(const std::stop_token& stop) {
  os::name_this_thread("tee");
  sigset_t broken_pipe;  // an unpacker that went away is an error of write(2) here
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  std::vector<char> piece(kPiece);
  while (!stop.stop_requested()) {
    pollfd wait{from_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPollMs) < 0 && errno != EINTR) break;
    if (wait.revents == 0) continue;
    const ssize_t got = ::read(from_.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    ended_ = got == 0;
    if (got <= 0) break;
    const std::string_view part{piece.data(), static_cast<std::size_t>(got)};
    if (!os::write_all(to_.get(), part)) break;
    if (file_ && !os::write_all(file_.get(), part)) file_.reset();
  }
  to_.reset();
  from_.reset();
}

bool Tee::finish() {
  thread_.join();
  return ended_ && file_;
}

}  // namespace holdfast::deploy::image
