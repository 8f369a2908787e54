#include "deploy/network/nft/forwarding.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <thread>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/kernel/sysctl.hpp"
#include "deploy/network/nft/nft_program.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr const char* kSubnets = "subnets";
constexpr const char* kBefore = "links";  ///< the set of those that forwarded before
constexpr std::string_view kEverywhere = "net/ipv4/ip_forward";
constexpr std::string_view kNewLinks = "net/ipv4/conf/default/forwarding";
constexpr const char* kLinks = "/proc/sys/net/ipv4/conf";

/// Of all agents of this host, and of packaging/remove-instance.
constexpr const char* kTurnFile = "/run/holdfast-forwarding.lock";
constexpr Milliseconds kTurnWithin{5'000};
constexpr Milliseconds kTurnStep{2};

/// Held by who adds a part to the shared table or takes one away: the last one that goes turns
/// forwarding off, which must not hit one that has just come. Where it cannot be had things go on
/// without, and the next check finds what was lost. Waits 5 s at most.
os::UniqueFd take_turn() {
  auto file = os::open_file(kTurnFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) return {};
  const SystemClock clock;
  const auto until = clock.boot() + kTurnWithin;
  while (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || clock.boot() >= until) return {};
    (void)os::sleep_until(clock.boot() + kTurnStep, {});
  }
  return std::move(*file);
}

std::string of_link(const std::string& name) {
  return fmt::format("net/ipv4/conf/{}/forwarding", name);
}

/// As names of links are written into rules without quotes.
bool is_plain(std::string_view name) {
  return !name.empty() && name.size() < 16 && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  });
}

/// "default" among them, which the kernel copies to links that come later.
std::vector<std::string> all_links() {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator{kLinks, failed})
    if (entry.path().filename() != "all") names.push_back(entry.path().filename().string());
  return names;
}

std::set<std::string> forwarding_links() {
  std::set<std::string> found;
  for (const auto& name : all_links()) {
    const auto value = read_sysctl(of_link(name));
    if (value && *value == "1" && name != "lo") found.insert(name);
  }
  return found;
}

/// A link that goes meanwhile is no fault.
Status set_links(std::string_view value, const std::set<std::string>& but) {
  for (const auto& name : all_links()) {
    if (but.contains(name)) continue;
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

Result<Forwarding> Forwarding::open(std::string owner, proto::Subnet ours,
                                    const std::filesystem::path& run_dir) {
  HF_ASSIGN(auto nft, NftTable::open(kSharedTable));
  auto file = run_dir.empty() ? run_dir : links_file(run_dir);
  return Forwarding{std::move(owner), ours, std::move(file), std::move(nft)};
}

/// What this agent wrote down in an earlier life; else what the others' table says; else, where no
/// agent has been, what is so now. Asked of the kernel later, all links forward: by us.
Result<std::set<std::string>> Forwarding::links_before() {
  if (file_.empty()) return std::set<std::string>{};
  if (const auto text = os::read_regular_file(file_, 64U << 10)) {
    std::set<std::string> links;
    for (const auto line : split(*text, '\n'))
      if (!line.empty()) links.emplace(line);
    return links;
  }
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains.empty()) return forwarding_links();
  std::set<std::string> links;
  if (const auto known = nft_.undisturbed([&] { return nft_.elements_of(kBefore); }))
    for (const auto& [name, nothing] : *known) links.emplace(name.c_str());  // up to its first NUL
  return links;
}

Status Forwarding::learn_links() {
  if (links_) return ok();
  HF_ASSIGN(auto links, links_before());
  std::string text;
  for (const auto& name : links) text += name + "\n";
  if (!file_.empty()) HF_TRY(os::write_atomic(file_, text, 0600, os::Durability::lazy));
  links_ = std::move(links);
  return ok();
}

Status Forwarding::ensure() {
  const auto turn = take_turn();
  HF_ASSIGN(const bool everywhere, is_on_everywhere());
  if (everywhere) return drop_table();
  HF_TRY(learn_links());
  HF_TRY(load_table());  // before the links, so that nothing of others passes in between
  return set_links("1", {});
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
  std::string before;
  for (const auto& name : *links_)
    if (is_plain(name))
      before += fmt::format("add element ip {} {} {{ \"{}\" }}\n", kSharedTable, kBefore, name);
  return run_nft(fmt::format(R"(add table ip {table}
table ip {table} {{
  comment "forwards for the instances of all agents of this host, and nothing else"
  set {subnets} {{ type ipv4_addr; flags interval; }}
  set {links} {{ type ifname; }}
  chain forward {{ type filter hook forward priority 0; policy accept; }}
}}
flush chain ip {table} forward
add rule ip {table} forward ip saddr @{subnets} accept
add rule ip {table} forward ip daddr @{subnets} accept
add rule ip {table} forward iifname @{links} accept
add rule ip {table} forward drop
add element ip {table} {subnets} {{ {ours} comment "{owner}" }}
{before})",
                             fmt::arg("table", kSharedTable), fmt::arg("subnets", kSubnets),
                             fmt::arg("links", kBefore), fmt::arg("before", before),
                             fmt::arg("ours", ours_.str()), fmt::arg("owner", owner_)));
}

Status Forwarding::drop_table() {
  digest_.clear();
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains.empty()) return ok();
  return run_nft(fmt::format("add table ip {0}\ndelete table ip {0}\n", kSharedTable));
}

Status Forwarding::remove() {
  const auto turn = take_turn();
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains.empty()) return ok();
  HF_TRY(learn_links());
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
  if (!everywhere) HF_TRY(set_links("0", *links_));
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
