/// \file
/// holdfast-load: the constant stream of requests under which updates and rollbacks are judged.

#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <string_view>

#include "common/base/text.hpp"
#include "tests/support/load/companions.hpp"
#include "tests/support/load/generator.hpp"

namespace {

using holdfast::Errc;
using holdfast::Error;
using holdfast::Result;
using holdfast::tests::load::CompanionOptions;
using holdfast::tests::load::Companions;
using holdfast::tests::load::Generator;
using holdfast::tests::load::Options;

constexpr std::string_view kUsage =
    "usage: holdfast-load ADDRESS:PORT[/PATH] [option value]…\n"
    "  --interval-us N   a new connection every N microseconds (2000)\n"
    "  --seconds N       how long; 0 or absent: until SIGTERM or SIGINT\n"
    "  --timeout-ms N    a request that takes longer is a failure (5000)\n"
    "  --keep-alive N    clients that keep their connection, for --keep-alive-ms (500) each\n"
    "  --echo PORT       a holdfast-echo on the same address: short and long downloads, a held\n"
    "                    connection, a datagram every 2 ms\n"
    "  --sources A,B,…   source addresses, used in turn (127.0.0.2 to 127.0.0.5 for a loopback "
    "target)\n"
    "Prints one JSON object. Exit status: 0 no request failed, 1 some did, 2 usage or host "
    "trouble.\n";

holdfast::Status set_target(Options& options, std::string_view target) {
  const auto slash = target.find('/');
  if (slash != std::string_view::npos) options.path = target.substr(slash);
  target = target.substr(0, slash);
  const auto colon = target.rfind(':');
  if (colon == std::string_view::npos) return Error{Errc::usage, "the target has no port"};
  HF_ASSIGN(const auto port, holdfast::parse_number(target.substr(colon + 1)));
  options.address = target.substr(0, colon);
  options.port = static_cast<std::uint16_t>(port);
  if (options.address.starts_with("127."))
    options.sources = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"};
  return holdfast::ok();
}

holdfast::Status set_option(Options& options, CompanionOptions& companions, std::string_view name,
                            std::string_view value) {
  if (name == "--sources") {
    options.sources.clear();
    for (const auto source : holdfast::split(value, ',')) options.sources.emplace_back(source);
    return holdfast::ok();
  }
  HF_ASSIGN(const auto number, holdfast::parse_number(value));
  if (name == "--interval-us" && number > 0) {
    options.interval = std::chrono::microseconds(number);
  } else if (name == "--seconds") {
    options.duration = std::chrono::seconds(number);
  } else if (name == "--timeout-ms" && number > 0) {
    options.timeout = holdfast::Milliseconds(number);
  } else if (name == "--keep-alive") {
    companions.keep_alive = static_cast<std::uint32_t>(number);
  } else if (name == "--keep-alive-ms" && number > 0) {
    companions.keep_alive_for = holdfast::Milliseconds(number);
  } else if (name == "--echo" && number > 0 && number < 65536) {
    companions.echo_port = static_cast<std::uint16_t>(number);
    companions.long_download = companions.held = true;
  } else {
    return Error{Errc::usage, fmt::format("unknown option or value: {} {}", name, value)};
  }
  return holdfast::ok();
}

Result<Options> parse(int argc, char** argv, CompanionOptions& companions) {
  Options options;
  if (argc < 2 || argc % 2 != 0)
    return Error{Errc::usage, "a target, then pairs of option and value"};
  HF_TRY(set_target(options, argv[1]));
  for (int i = 2; i + 1 < argc; i += 2) {
    HF_TRY(set_option(options, companions, argv[i], argv[i + 1]));
  }
  return options;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  CompanionOptions wanted;
  auto options = parse(argc, argv, wanted);
  if (!options) {
    fmt::print(stderr, "holdfast-load: {}\n{}", options.error().what(), kUsage);
    return 2;
  }
  raise_descriptor_limit();
  block_signals();
  const holdfast::SystemClock clock;
  Companions companions(*options, wanted, clock);
  Generator generator(std::move(options).value(), clock);
  if (auto done = generator.run(); !done) {
    fmt::print(stderr, "holdfast-load: {}\n", done.error().what());
    return 2;
  }
  companions.stop();
  auto account = generator.tally().to_json();
  if (const auto more = companions.to_json(); !more.empty())
    account.insert(account.size() - 1, "," + more);
  fmt::print("{}\n", account);
  return generator.tally().failures() + companions.failures() == 0 ? 0 : 1;
}
