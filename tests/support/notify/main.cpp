// A service that speaks sd_notify(3), statically linked so that it runs in any image.
//   usage: holdfast-notifier STEP…
//     +500              waits 500 ms
//     @200:WATCHDOG=1   sends this every 200 ms from now on, for ever
//     exit:3            ends with code 3
//     anything else     is sent to $NOTIFY_SOCKET, once, as sd_notify does: what fails is lost
// After the last step it waits for a signal.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void wait_ms(int ms) { (void)poll(nullptr, 0, ms); }

void tell(const std::string& message) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  const auto sent = sendto(fd, message.data(), message.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&to), sizeof to);
  const std::string line = (sent < 0 ? "lost " : "sent ") + message + "\n";
  (void)!write(1, line.data(), line.size());
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string step = argv[i];
    if (step.front() == '+') {
      wait_ms(std::atoi(step.c_str() + 1));
    } else if (step.front() == '@') {
      const auto colon = step.find(':');
      for (;;) {
        tell(step.substr(colon + 1));
        wait_ms(std::atoi(step.c_str() + 1));
      }
    } else if (step.rfind("exit:", 0) == 0) {
      return std::atoi(step.c_str() + 5);
    } else {
      tell(step);
    }
  }
  for (;;) wait_ms(-1);
}
