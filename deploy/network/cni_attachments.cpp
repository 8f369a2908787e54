#include "deploy/network/cni_attachments.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/kernel/netns.hpp"
#include "deploy/network/kernel/sysctl.hpp"
#include "deploy/network/nft/forward.hpp"
#include "deploy/network/nft/forwarding.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr std::string_view kRecordSuffix = ".json";
constexpr std::size_t kRecordLimit = 1U << 20;

/// Names of the entries of a directory; none when it does not exist.
std::vector<std::string> entries_of(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  std::error_code failure;
  for (std::filesystem::directory_iterator it{directory, failure}, end; !failure && it != end;
       it.increment(failure))
    names.push_back(it->path().filename().string());
  return names;
}

/// 127.0.0.1 published to an instance leaves by its veth: the kernel refuses loopback sources there
/// without route_localnet. What that would let in is dropped by the chain `guard` of the agent's
/// table. Redirects: an instance that reaches itself through its service address goes out of the
/// interface it came in by.
Status tune_host_side(const std::vector<std::string>& interfaces) {
  for (const auto& name : interfaces) {
    HF_TRY(ensure_sysctl(fmt::format("net/ipv4/conf/{}/route_localnet", name), "1"));
    HF_TRY(ensure_sysctl(fmt::format("net/ipv4/conf/{}/send_redirects", name), "0"));
    HF_TRY(ensure_sysctl(fmt::format("net/ipv4/conf/{}/forwarding", name), "1"));
  }
  return ok();
}

}  // namespace

/// Holds the turn of one id.
struct CniAttachments::Guard {
  std::shared_ptr<std::mutex> mutex;
  std::unique_lock<std::mutex> lock;
};

CniAttachments::Guard CniAttachments::lock(const std::string& id) {
  std::shared_ptr<std::mutex> turn;
  {
    const std::scoped_lock lock{mutex_};
    std::erase_if(busy_, [](const auto& entry) { return entry.second.expired(); });
    turn = busy_[id].lock();
    if (!turn) busy_[id] = turn = std::make_shared<std::mutex>();
  }
  std::unique_lock held{*turn};
  return Guard{std::move(turn), std::move(held)};
}

std::filesystem::path CniAttachments::netns_path(const std::string& id) const {
  return options_.run_dir / "netns" / id;
}
std::filesystem::path CniAttachments::record_path(const std::string& id) const {
  return options_.state_dir / "network" / "attachments" / (id + std::string{kRecordSuffix});
}
std::filesystem::path CniAttachments::leases_dir() const {
  return options_.state_dir / "network" / "leases";
}

std::string CniAttachments::effective_conflist(const std::string& version) const {
  if (!options_.conflist.empty()) return with_version(options_.conflist, version);
  const bool firewall =
      options_.firewall == FirewallUse::always ||
      (options_.firewall == FirewallUse::where_forward_drops && host_forward_drops());
  return default_conflist({.name = "holdfast-" + options_.instance,
                           .subnet = options_.subnet,
                           .leases_dir = leases_dir().string(),
                           .firewall = firewall ? FirewallPlugin::present : FirewallPlugin::absent,
                           .version = version});
}

/// The best version that the plugins of a list have in common. What goes wrong is said by the first
/// ADD, with the next step.
std::optional<std::string> CniAttachments::ask_for_version() const {
  std::vector<std::string> types{"ptp", "host-local"};
  if (const auto own = parse_conflist(options_.conflist); own) types = own->types;
  std::vector<std::set<std::string>> known;
  for (const auto& type : types) {
    constexpr Milliseconds kAnswers{5'000};
    const auto said = os::run({.spawn = {.argv = {(options_.cni_dir / type).string()},
                                         .env = {"CNI_COMMAND=VERSION", os::kChildPath}},
                               .input = R"({"cniVersion":"1.0.0"})",
                               .timeout = kAnswers});
    if (!said) return std::nullopt;  // a host that is busy: it is asked again
    known.push_back(supported_versions(said->out));
  }
  auto common = common_version(known);
  if (common) return *std::move(common);
  log::warn("event=network_no_common_version error={}", log::field(common.error().to_string()));
  return std::string{kCniVersions.front()};
}

Result<std::unique_ptr<CniAttachments>> CniAttachments::open(CniOptions options) {
  std::unique_ptr<CniAttachments> self{new CniAttachments{std::move(options)}};
  HF_TRY(os::make_directories(self->options_.run_dir / "netns", 0700));
  HF_TRY(os::make_directories(self->record_path("x").parent_path(), 0700));
  HF_TRY(os::make_directories(self->leases_dir(), 0700));
  HF_ASSIGN(const auto list,
            parse_conflist(self->effective_conflist(std::string{kCniVersions.front()})));
  for (const auto& type : list.types) {
    const auto program = self->options_.cni_dir / type;
    if (access(program.c_str(), X_OK) != 0) {
      return Error{Errc::cni, fmt::format("CNI plugin {} is missing", program.string())}.hint(
          "install the package containernetworking-plugins, or set cni_dir in agent.yaml");
    }
  }
  // Beside what else a start has to do: it takes some milliseconds a plugin.
  self->begin_to_ask();
  return self;
}

void CniAttachments::begin_to_ask() {
  version_ = std::async(std::launch::async, [this] { return ask_for_version(); }).share();
}

std::string CniAttachments::version() {
  std::shared_future<std::optional<std::string>> asked;
  {
    const std::lock_guard lock{mutex_};
    asked = version_;
  }
  if (const auto found = asked.get()) return *found;
  const std::lock_guard lock{mutex_};
  // Another caller may ask again already: that is not waited for here.
  const bool answered = version_.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
  if (answered && !version_.get()) begin_to_ask();
  return std::string{kCniVersions.front()};
}

Result<std::optional<AttachmentRecord>> CniAttachments::load(const std::string& id) {
  auto text = os::read_regular_file(record_path(id), kRecordLimit);
  if (!text && text.error().code() == Errc::not_found) return std::optional<AttachmentRecord>{};
  if (!text) return std::move(text).error();
  if (auto record = decode_record(*text)) return std::optional{std::move(*record)};
  // Torn by a power cut before its fsync: the id and the defaults are all that DEL needs.
  return std::optional{unrecorded(id)};
}

AttachmentRecord CniAttachments::unrecorded(const std::string& id) {
  return {.id = id,
          .netns = netns_path(id).string(),
          .conflist = effective_conflist(version()),
          .result = {},
          .address = 0};
}

bool CniAttachments::is_whole(const AttachmentRecord& record) const {
  return !record.result.empty() && is_netns_pinned(record.netns);
}

Result<std::optional<Attachment>> CniAttachments::find(const std::string& id) {
  HF_TRY(check_container_id(id));
  HF_ASSIGN(const auto record, load(id));
  if (!record || !is_whole(*record)) return std::optional<Attachment>{};
  return std::optional{Attachment{record->netns, record->address}};
}

Result<Attachment> CniAttachments::attach(const std::string& id) {
  HF_TRY(check_container_id(id));
  const auto guard = lock(id);
  const auto doing = fmt::format("attach {} to the network", id);
  auto record = load(id);
  if (!record) return std::move(record).error().in(doing);
  if (*record && is_whole(**record)) return Attachment{(*record)->netns, (*record)->address};
  if (*record) {
    if (auto gone = take_down(**record); !gone)
      return std::move(gone).error().in("remove what is half there").in(doing);
  }
  auto built = build(id);
  if (!built) return std::move(built).error().in(doing);
  return built;
}

Result<Attachment> CniAttachments::build(const std::string& id) {
  AttachmentRecord record = unrecorded(id);
  HF_ASSIGN(const auto list, parse_conflist(record.conflist));
  // Intent, so that a crash in the middle of ADD leaves a name to clean up by. It need not survive
  // a power cut, after which there is nothing in the kernel to clean up.
  HF_TRY(os::write_atomic(record_path(id), encode(record), 0600, os::Durability::lazy));
  const auto whole = [&]() -> Status {
    HF_TRY(unpin_netns(record.netns));
    HF_TRY(pin_new_netns(record.netns));
    HF_ASSIGN(record.result, add(record, list));
    HF_ASSIGN(const auto result, parse_result(record.result));
    record.address = result.address;
    HF_TRY(tune_host_side(result.host_interfaces));
    return os::write_atomic(record_path(id), encode(record), 0600, os::Durability::durable);
  }();
  if (whole) return Attachment{record.netns, record.address};
  if (auto gone = take_down(record); !gone)
    log::warn("event=network_left_behind instance={} error={}", id,
              log::field(gone.error().to_string()));
  return Error{whole.error()};
}

Result<std::string> CniAttachments::add(const AttachmentRecord& record, const CniList& list) {
  std::string result;
  HF_TRY(with_forwarding_seen_on([&]() -> Status {
    for (std::size_t i = 0; i < list.types.size(); ++i) {
      HF_ASSIGN(result, run_plugin("ADD", record, list, i, result));
    }
    return ok();
  }));
  return result;
}

Status CniAttachments::detach(const std::string& id) {
  HF_TRY(check_container_id(id));
  const auto guard = lock(id);
  HF_ASSIGN(auto record, load(id));
  if (!record && !is_netns_pinned(netns_path(id))) return unpin_netns(netns_path(id));
  if (!record) record = unrecorded(id);
  if (auto gone = take_down(*record); !gone)
    return std::move(gone).error().in(fmt::format("detach {} from the network", id));
  return ok();
}

Status CniAttachments::take_down(const AttachmentRecord& record) {
  HF_ASSIGN(const auto list, parse_conflist(record.conflist));
  std::optional<Error> first;
  for (std::size_t i = list.types.size(); i-- > 0;) {
    auto done = run_plugin("DEL", record, list, i, record.result);
    if (!done && !first) first = std::move(done).error();
  }
  // The namespace and the record stay until every plugin has cleaned up: DEL after the namespace is
  // gone leaves rules behind although it reports success (packaging/doc/security.md 3.7).
  if (first) return std::move(*first);
  HF_TRY(unpin_netns(record.netns));
  if (::unlink(record_path(record.id).c_str()) != 0 && errno != ENOENT)
    return errno_error(errno, "remove " + record_path(record.id).string());
  return ok();
}

Result<std::string> CniAttachments::run_plugin(const char* command, const AttachmentRecord& record,
                                               const CniList& list, std::size_t index,
                                               const std::string& prev_result) const {
  const auto& type = list.types[index];
  // DEL without a namespace must succeed (SPEC.md, DEL); plugins want an empty path rather than one
  // that is not there.
  const bool pinned = is_netns_pinned(record.netns);
  os::RunOptions options;
  options.spawn.argv = {(options_.cni_dir / type).string()};
  options.spawn.env = {fmt::format("CNI_COMMAND={}", command),
                       fmt::format("CNI_CONTAINERID={}", record.id),
                       fmt::format("CNI_NETNS={}", pinned ? record.netns : std::string{}),
                       "CNI_IFNAME=eth0",
                       fmt::format("CNI_PATH={}", options_.cni_dir.string()),
                       os::kChildPath};
  options.input = plugin_input(list, index, prev_result);
  options.timeout = options_.plugin_timeout;
  auto ran = os::run(options);
  if (!ran) {
    const auto next = ran.error().code() == Errc::not_found
                          ? std::string{"install the package containernetworking-plugins, or set cni_dir in agent.yaml"}
                          : fmt::format("the plugin was killed: see what {} waits for", options.spawn.argv.front());
    return Error{Errc::cni,
                 fmt::format("CNI plugin {} ({}): {}", type, command, ran.error().what())}
        .hint(next);
  }
  if (os::succeeded(ran->status)) return std::string{trim(ran->out)};
  return plugin_error(type, os::describe(ran->status), ran->out, ran->err)
      .in(fmt::format("CNI {}", command));
}

Result<std::size_t> CniAttachments::sweep(const std::set<std::string>& known) {
  std::set<std::string> ids;
  for (auto& name : entries_of(options_.run_dir / "netns")) ids.insert(std::move(name));
  for (const auto& name : entries_of(record_path("x").parent_path())) {
    if (name.ends_with(kRecordSuffix))
      ids.insert(name.substr(0, name.size() - kRecordSuffix.size()));
  }
  std::size_t gone = 0;
  std::optional<Error> first;
  for (const auto& id : ids) {
    if (known.contains(id) || !check_container_id(id)) continue;
    auto done = detach(id);
    if (done) ++gone;
    if (!done && !first) first = std::move(done).error();
  }
  HF_TRY(free_stale_leases());
  if (first) return std::move(*first).in("sweep the network");
  return gone;
}

Status CniAttachments::free_stale_leases() const {
  const auto directory = leases_dir() / ("holdfast-" + options_.instance);
  for (const auto& name : entries_of(directory)) {
    if (!parse_address(name)) continue;  // `lock`, `last_reserved_ip.0`
    const auto text = os::read_regular_file(directory / name, 4096);
    if (!text) continue;
    const auto holder = std::string{trim(split(*text, '\n').front())};
    // A record is written before its lease and removed after it, so a lease without one has no
    // owner.
    if (check_container_id(holder) && access(record_path(holder).c_str(), F_OK) == 0) continue;
    if (::unlink((directory / name).c_str()) != 0 && errno != ENOENT)
      return errno_error(errno, "remove " + (directory / name).string());
    log::info("event=network_lease_freed address={} instance={}", name, log::field(holder));
  }
  return ok();
}

}  // namespace holdfast::deploy::network
