#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

struct Claim {
  const ServiceDraft* owner;
  yaml::Mark mark;
};

/// Who holds a port of the host: by address, and the first that wants it on all.
struct PortClaims {
  std::map<std::string, Claim, std::less<>> by_address;
  std::optional<Claim> first;
  std::optional<Claim> everywhere;
};

std::optional<Claim> claimed(const PortClaims& claims, const std::string& address) {
  if (address.empty()) return claims.first;
  const auto found = claims.by_address.find(address);
  if (found != claims.by_address.end()) return found->second;
  return claims.everywhere;
}

void check_ports(const std::vector<ServiceDraft>& drafts, yaml::Findings& findings) {
  std::map<std::pair<std::uint16_t, Transport>, PortClaims> ports;
  for (const auto& draft : drafts) {
    for (std::size_t i = 0; i < draft.service.publish.size(); ++i) {
      const auto& port = draft.service.publish[i];
      auto& claims = ports[{port.host_port, port.transport}];
      const Claim mine{&draft, draft.publish_marks[i]};
      if (const auto other = claimed(claims, port.host_ip)) {
        findings.error(
            mine.mark,
            fmt::format("port {}/{} of the host is already published by {} (line {})",
                        port.host_port, port.transport == Transport::tcp ? "tcp" : "udp",
                        other->owner == &draft ? "this service" : other->owner->name.str(),
                        other->mark.line),
            "choose another host port or another address");
        continue;
      }
      if (!claims.first) claims.first = mine;
      if (port.host_ip.empty()) claims.everywhere = mine;
      claims.by_address.emplace(port.host_ip, mine);
    }
  }
}

using Index = std::map<std::string, std::size_t, std::less<>>;

void check_known(const std::vector<ServiceDraft>& drafts, const Index& index,
                 yaml::Findings& findings) {
  std::vector<std::string_view> names;
  for (const auto& draft : drafts) names.push_back(draft.name.str());
  for (const auto& draft : drafts) {
    for (std::size_t i = 0; i < draft.service.depends_on.size(); ++i) {
      const auto& name = draft.service.depends_on[i].str();
      if (index.contains(name)) continue;
      auto hint = yaml::did_you_mean(name, names);
      if (hint.empty()) hint = fmt::format("services of this document: {}", fmt::join(names, ", "));
      findings.error(draft.depends_on_marks[i],
                     fmt::format("services.{}.depends_on names the unknown service \"{}\"",
                                 draft.name.str(), yaml::shown(name)),
                     std::move(hint));
    }
  }
}

/// Depth-first search; a dependency on a service that is still open closes a cycle.
class CycleSearch {
 public:
  CycleSearch(const std::vector<ServiceDraft>& drafts, const Index& index, yaml::Findings& findings)
      : drafts_(drafts), index_(index), findings_(findings), state_(drafts.size()) {}

  void run() {
    for (std::size_t i = 0; i < drafts_.size(); ++i) visit(i);
  }

 private:
  enum class State : std::uint8_t { unseen, open, done };

  void visit(std::size_t at) {
    if (state_[at] != State::unseen) return;
    state_[at] = State::open;
    path_.push_back(at);
    const auto& draft = drafts_[at];
    for (std::size_t i = 0; i < draft.service.depends_on.size(); ++i) {
      const auto next = index_.find(draft.service.depends_on[i].str());
      if (next == index_.end()) continue;
      if (state_[next->second] == State::open) {
        report(next->second, draft.depends_on_marks[i]);
      } else {
        visit(next->second);
      }
    }
    path_.pop_back();
    state_[at] = State::done;
  }

  void report(std::size_t first, yaml::Mark mark) {
    std::string text;
    for (auto at = std::find(path_.begin(), path_.end(), first); at != path_.end(); ++at)
      text += drafts_[*at].name.str() + " → ";
    findings_.error(
        mark, fmt::format("services depend on each other: {}{}", text, drafts_[first].name.str()),
        "remove one of these dependencies");
  }

  const std::vector<ServiceDraft>& drafts_;
  const Index& index_;
  yaml::Findings& findings_;
  std::vector<State> state_;
  std::vector<std::size_t> path_;
};

}  // namespace

void check_between_services(const std::vector<ServiceDraft>& drafts, yaml::Findings& findings) {
  check_ports(drafts, findings);
  Index index;
  for (std::size_t i = 0; i < drafts.size(); ++i) index.emplace(drafts[i].name.str(), i);
  check_known(drafts, index, findings);
  CycleSearch{drafts, index, findings}.run();
}

}  // namespace holdfast::proto
