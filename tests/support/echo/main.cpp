/// \file
/// holdfast-echo: a service with long connections and datagrams, for containers of the tests.
/// Static, like everything that runs in images that hold nothing else.
///
/// usage: holdfast-echo PORT WORD
///   UDP   answers each datagram with "WORD " and the datagram
///   TCP   after a line "get N": N lines of WORD, one every 20 ms, then the end; without one it
///   waits
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace {

constexpr timespec kBeat{0, 20'000'000};

int listen_on(int type, std::uint16_t port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (type == SOCK_STREAM && listen(fd, 128) != 0)) {
    std::perror("holdfast-echo");
    std::exit(1);
  }
  return fd;
}

void answer_datagram(int fd, const std::string& word) {
  std::array<char, 2048> buffer{};
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const auto got =
      recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 0) return;
  const auto text = word + " " + std::string(buffer.data(), static_cast<std::size_t>(got));
  (void)!sendto(fd, text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
}

/// In a process of its own.
[[noreturn]] void serve(int fd, const std::string& word) {
  std::string line;
  std::array<char, 256> buffer{};
  while (line.find('\n') == std::string::npos) {
    const auto got = read(fd, buffer.data(), buffer.size());
    if (got <= 0) std::_Exit(0);
    line.append(buffer.data(), static_cast<std::size_t>(got));
  }
  int count = 0;
  if (line.starts_with("get ")) std::from_chars(line.data() + 4, line.data() + line.size(), count);
  const auto chunk = word + "\n";
  for (; count > 0; --count) {
    if (write(fd, chunk.data(), chunk.size()) < 0) std::_Exit(0);
    nanosleep(&kBeat, nullptr);
  }
  std::_Exit(0);
}

void accept_one(int listener, const std::string& word) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  if (fork() == 0) serve(fd, word);
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: holdfast-echo PORT WORD\n", stderr);
    return 2;
  }
  std::signal(SIGCHLD, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const auto port = static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10));
  const std::string word = argv[2];
  const int datagrams = listen_on(SOCK_DGRAM, port);
  const int streams = listen_on(SOCK_STREAM, port);
  std::array<pollfd, 2> ready{pollfd{datagrams, POLLIN, 0}, pollfd{streams, POLLIN, 0}};
  while (poll(ready.data(), ready.size(), -1) >= 0) {
    if ((ready[0].revents & POLLIN) != 0) answer_datagram(datagrams, word);
    if ((ready[1].revents & POLLIN) != 0) accept_one(streams, word);
  }
  return 1;
}
