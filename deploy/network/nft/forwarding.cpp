#include "deploy/network/nft/forwarding.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <thread>

#include "common/os/process.hpp"
#include "deploy/network/kernel/sysctl.hpp"
#include "deploy/network/nft/nft_program.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr const char* kSubnets = "subnets";
constexpr std::string_view kEverywhere = "net/ipv4/ip_forward";
constexpr std::string_view kNewLinks = "net/ipv4/conf/default/forwarding";
constexpr const char* kLinks = "/proc/sys/net/ipv4/conf";

std::string of_link(const std::string& name) {
  return fmt::format("net/ipv4/conf/{}/forwarding", name);
}

/// A link that goes meanwhile is no fault. The kernel copies the value of "default" to links that
/// come later.
Status set_links(std::string_view value) {
  HF_TRY(ensure_sysctl(kNewLinks, value));
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator{kLinks, failed}) {
    const auto name = entry.path().filename().string();
    if (name == "all" || name == "default") continue;
    const auto set = ensure_sysctl(of_link(name), value);
    if (!set && set.error().code() != Errc::not_found) return Error{set.error()};
  }
  return ok();
}

Result<bool> is_on_everywhere() {
  HF_ASSIGN(const auto value, read_sysctl(kEverywhere));
  return value == "1";
}

Status pretend_and_call(const std::function<Status()>& work) {
  if (unshare(CLONE_NEWNS) != 0) return errno_error(errno, "make a mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return errno_error(errno, "keep mounts apart");
  const auto shown = "/proc/sys/" + of_link("lo");  // reads 1
  const auto hidden = fmt::format("/proc/sys/{}", kEverywhere);
  if (mount(shown.c_str(), hidden.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error(errno, "mount over " + hidden);
  return work();
}

}  // namespace

Result<Forwarding> Forwarding::open(std::string owner, proto::Subnet ours) {
  HF_ASSIGN(auto nft, NftTable::open(kSharedTable));
  return Forwarding{std::move(owner), ours, std::move(nft)};
}

Status Forwarding::ensure() {
  HF_ASSIGN(const bool everywhere, is_on_everywhere());
  if (everywhere) return drop_table();
  HF_TRY(load_table());  // before the links, so that nothing of others passes in between
  return set_links("1");
}

Status Forwarding::check() const {
  HF_ASSIGN(const bool everywhere, is_on_everywhere());
  if (everywhere != digest_.empty())
    return Error{Errc::not_found,
                 fmt::format("net.ipv4.ip_forward was turned {}", everywhere ? "on" : "off")};
  if (everywhere) return ok();
  HF_ASSIGN(const auto links, read_sysctl(kNewLinks));
  if (links == "1") return ok();
  return Error{Errc::not_found, "the links of this host forward no longer"};
}

Status Forwarding::check_table() {
  const auto digest = nft_.undisturbed([&] { return nft_.rules_digest(); });
  if (!digest && digest.error().code() != Errc::not_found) return Error{digest.error()};
  if ((digest ? *digest : std::string{}) == digest_) return ok();
  return Error{Errc::not_found,
               fmt::format("the rules of nft table {} were altered", kSharedTable)};
}

/// Rules and elements of one text are one transaction; the parts of other agents stay. One that is
/// removed just now may take the table away in between.
Status Forwarding::load_table() {
  constexpr int kTries = 5;
  for (int left = kTries;; --left) {
    HF_TRY(load_once());
    auto digest = nft_.undisturbed([&] { return nft_.rules_digest(); });
    if (!digest && digest.error().code() == Errc::not_found && left > 1) continue;
    if (!digest) return std::move(digest).error();
    digest_ = std::move(digest).value();
    return ok();
  }
}

Status Forwarding::load_once() {
  return run_nft(fmt::format(R"(add table ip {table}
table ip {table} {{
  comment "forwards for the instances of all agents of this host, and nothing else"
  set {subnets} {{ type ipv4_addr; flags interval; }}
  chain forward {{ type filter hook forward priority 0; policy accept; }}
}}
flush chain ip {table} forward
add rule ip {table} forward ip saddr @{subnets} accept
add rule ip {table} forward ip daddr @{subnets} accept
add rule ip {table} forward drop
add element ip {table} {subnets} {{ {ours} comment "{owner}" }}
)",
                             fmt::arg("table", kSharedTable), fmt::arg("subnets", kSubnets),
                             fmt::arg("ours", ours_.str()), fmt::arg("owner", owner_)));
}

Status Forwarding::drop_table() {
  digest_.clear();
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains.empty()) return ok();
  return run_nft(fmt::format("add table ip {0}\ndelete table ip {0}\n", kSharedTable));
}

Status Forwarding::remove() {
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains.empty()) return ok();
  // `add` first, so that an element that is not there is no fault.
  const auto element =
      fmt::format("element ip {} {} {{ {} }}", kSharedTable, kSubnets, ours_.str());
  auto removed = run_nft(fmt::format("add {0}\ndelete {0}\n", element));
  const auto others = nft_.undisturbed([&] { return nft_.elements_of(kSubnets); });
  if (!others && others.error().code() == Errc::not_found)
    return ok();  // by the last one, just now
  if (!removed || !others) return removed ? Status{others.error()} : std::move(removed);
  if (!others->empty()) return ok();
  HF_ASSIGN(const bool everywhere, is_on_everywhere());
  if (!everywhere) HF_TRY(set_links("0"));
  return drop_table();
}

Status with_forwarding_seen_on(const std::function<Status()>& work) {
  HF_ASSIGN(const bool everywhere, is_on_everywhere());
  if (everywhere) return work();
  Status outcome = ok();
  std::jthread thread([&] {
    os::name_this_thread("cni");
    outcome = pretend_and_call(work);
  });
  thread.join();
  return outcome;
}

}  // namespace holdfast::deploy::network
