#include "agent/worker/fetch/fetch_main.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/worker/confine.hpp"
#include "agent/worker/fetch/client.hpp"
#include "agent/worker/fetch/resume_file.hpp"
#include "agent/worker/fetch/throttle.hpp"
#include "agent/worker/message.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

namespace wire = proto::worker;

constexpr Milliseconds kProgressInterval{100};

/// Serves requests, each on a thread of its own; clients with their connections go from one to the
/// next.
class Server {
 public:
  Server(const std::vector<Endpoint>& endpoints, Throttle throttle)
      : endpoints_(endpoints), throttle_(throttle) {}
  ~Server() {
    for (auto& thread : threads_) thread.join();
  }

  Status run() {
    for (;;) {
      HF_ASSIGN(auto message, receive_message());
      // The parent is gone, or wants nothing more: nobody waits for what is still under way, and a
      // new agent may be about to go on from the same file.
      if (message.text.empty()) std::_Exit(0);
      auto request = wire::decode_fetch_request(message.text);
      if (!request || !message.report) return Error{Errc::internal, "malformed request"};
      threads_.emplace_back([this, r = *std::move(request), m = std::move(message)]() mutable {
        serve(r, std::move(m));
      });
    }
  }

 private:
  void serve(const wire::FetchRequest& request, Message message) {
    os::name_this_thread("fetch");
    auto client = take_client();
    ResumeFile kept{std::move(message.partial), clock_};
    BootTime last = clock_.boot();
    std::uint64_t bytes = request.have;
    const auto pass_on = [&](std::span<const char> data) -> Status {
      if (os::write_all(message.body.get(), {data.data(), data.size()})) return ok();
      return Error{Errc::cancelled, "the receiver went away"};
    };
    const auto receive = [&](std::span<const char> data) -> Status {
      throttle_.take(data.size());
      kept.add(data);
      HF_TRY(pass_on(data));
      kept.wait_again();
      bytes += data.size();
      const BootTime now = clock_.boot();
      if (now - last < kProgressInterval) return ok();
      last = now;
      wire::FetchReport progress;
      progress.bytes = bytes;
      return os::write_all(message.report.get(),
                           wire::encode(Result<wire::FetchReport>{progress}) + "\n");
    };
    const auto replayed = kept.replay(request.have, pass_on);
    const auto outcome =
        replayed ? client->fetch(request, receive) : Result<wire::FetchReport>{replayed.error()};
    message.body.reset();
    (void)os::write_all(message.report.get(), wire::encode(outcome) + "\n");
    const std::lock_guard lock{mutex_};
    idle_.push_back(std::move(client));
  }

  std::unique_ptr<Client> take_client() {
    const std::lock_guard lock{mutex_};
    if (idle_.empty()) return std::make_unique<Client>(endpoints_, clock_);
    auto client = std::move(idle_.back());
    idle_.pop_back();
    return client;
  }

  const std::vector<Endpoint>& endpoints_;
  Throttle throttle_;
  SystemClock clock_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Client>> idle_;
  std::vector<std::thread> threads_;
};

/// Everything is given up that is not needed to talk to a registry.
Status confine() {
  constexpr std::uint64_t kAddressSpace = 2ULL << 30;
  constexpr std::uint64_t kOpenFiles = 1024;
  constexpr std::uint64_t kLargestPartial = 10ULL << 30;
  HF_TRY(limit_process({.address_space = kAddressSpace,
                        .file_size = kLargestPartial,
                        .open_files = kOpenFiles,
                        .cpu_seconds = wire::kMostCpuSeconds}));
  HF_TRY(restrict_files_to_reading());
  HF_TRY(become_nobody());
  return allow_system_calls(Profile::fetch);
}

Status serve_parent() {
  // Before there is anything to do: this child may have been started ahead.
  HF_TRY(net::HttpClient::start());
  HF_ASSIGN(const auto first, receive_message());
  if (first.text.empty()) return ok();
  HF_ASSIGN(const auto setup, wire::decode_fetch_setup(first.text));
  const SystemClock clock;
  HF_ASSIGN(const auto endpoints, endpoints_of(setup, clock));
  HF_ASSIGN(const auto throttle,
            Throttle::open(wire::kFetchBandwidth, setup.bytes_per_second, clock));
  if (auto confined = confine(); !confined)
    return std::move(confined).error().in("confine the fetcher");
  Server server{endpoints, throttle};
  return server.run();
}

}  // namespace

int fetch_main() {
  const auto served = serve_parent();
  if (served) return 0;
  // The parent sees the control socket close; the reason goes to the log it keeps of our standard
  // error.
  (void)os::write_all(STDERR_FILENO, "holdfast-fetch: " + served.error().to_string() + "\n");
  return 1;
}

}  // namespace holdfast::agent::worker::fetch
