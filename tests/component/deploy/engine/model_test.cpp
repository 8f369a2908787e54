// Random lives of a host against a simple model of what an operator may rely on
// (packaging/doc/security.md 7.2). Invariants that fake ports cannot break are looked at where they
// can be: I-6 (blobs match their names) by the killed pulls, I-9 (no secret in a log) end to end.
// I-7 needs signed documents, which are what has a serial floor.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "common/log/log.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/memory_ledger.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::plan::InstanceState;

constexpr int kVersions = 6;
constexpr int kWindowed = kVersions - 1;  ///< its window is closed

/// Every other version has hooks; which of them fail is a matter of the life.
std::string hooks(int version) {
  if (version % 2 == 0) return {};
  std::string text = "hooks:\n";
  for (const auto* stage : {"before", "after", "on_rollback"})
    text += fmt::format(
        "  {0}: [{{name: {1}-{2}, image: \"registry.example.com/shop/hook:1@sha256:{3}\"}}]\n",
        stage, std::string{stage}.substr(0, 2), version, proto::Digest::of("hook").hex());
  return text;
}

std::string document(int version) {
  const auto window = version == kWindowed
                          ? R"(, window: {days: [mon], hours: "22:00-04:00", zone: Europe/Berlin}})"
                          : "}";
  return shop_of(
      web(std::to_string(version),
          {kPublished,
           std::string{"update: {soak: 1s, deadline: 5s, drain: 1s, standby: 5s"} + window}) +
      hooks(version));
}

const std::string& digest_of(int version) {
  static const auto all = [] {
    std::vector<std::string> made;
    for (int i = 0; i < kVersions; ++i)
      made.push_back(proto::load_deployment(document(i), "x").value().spec_digest.str());
    return made;
  }();
  return all.at(static_cast<std::size_t>(version));
}

/// What an operator may rely on, once everything had time to end.
struct Model {
  struct Generation {
    int version = 0;
    bool good = false;
  };
  std::vector<Generation> generations;  ///< number 1 first
  std::size_t in_force = 0;             ///< 0: nothing
  std::optional<std::size_t> pending;   ///< accepted, not ended
  bool closed = false;                  ///< it waits for a window, which never opens here
  std::set<int> quarantined;
  std::set<int> bad;  ///< versions that cannot start
  bool held = false;

  [[nodiscard]] int version(std::size_t number) const { return generations[number - 1].version; }
  void end_pending() {
    if (!pending || held || closed) return;
    const auto number = *std::exchange(pending, std::nullopt);
    if (bad.contains(version(number))) {
      quarantined.insert(version(number));
    } else {
      in_force = number;
      generations[number - 1].good = true;
    }
  }
  [[nodiscard]] std::size_t rollback_target() const {
    for (std::size_t number = in_force; number-- > 1;) {
      const auto& row = generations[number - 1];
      if (row.good && row.version != version(in_force) && !quarantined.contains(row.version))
        return number;
    }
    return 0;
  }
};

struct Shape {
  int versions = kVersions;  ///< the first of them
  std::uint32_t retain = 100;
};

/// One life: a host, a ledger, agents that come and go, and the model beside them.
class Life {
 public:
  explicit Life(std::uint32_t seed, Shape shape = {}) : random_(seed), shape_(shape) {
    for (int i = 1; i < kVersions; i += 2) {
      for (const auto* stage : {"be", "af", "on"}) {
        const bool fails = chance(6);
        host_.exits[fmt::format("{}-{}", stage, i)] = fails ? 1 : 0;
        // A failing hook of a rollback is recorded and stops nothing.
        if (fails && std::string_view{stage} != "on") model_.bad.insert(i);
      }
    }
    for (int i = 0; i < kVersions; ++i) {
      if (!chance(4)) continue;
      model_.bad.insert(i);
      host_.unstartable.insert(proto::Digest::of(std::to_string(i)));
    }
    begin();
  }

  void live(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      disturb();
      if (chance(3)) continue;  // the next word meets a rollout that is under way
      settle();
    }
    resume();
    settle();
  }
  [[nodiscard]] const std::string& story() const { return story_; }

 private:
  template <class... Args>
  void tell(fmt::format_string<Args...> text, Args&&... args) {
    story_ += fmt::format(text, std::forward<Args>(args)...) + "; ";
  }
  int pick(int below) { return std::uniform_int_distribution<int>{0, below - 1}(random_); }
  bool chance(int one_in) { return pick(one_in) == 0; }

  void begin() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(host_, ledger_, shape_.retain, Milliseconds{60'000});
    agent_->run(1ms);
  }
  [[nodiscard]] const proto::api::Status& status() {
    shown_ = agent_->snapshot();
    return shown_->status;
  }
  /// A rollout that has ended since is ended in the model too.
  bool under_way() {
    const auto& rollout = status().rollout;
    if (!rollout) model_.end_pending();
    rolling_back_ = rolling_back_ && rollout;
    return rollout.has_value();
  }
  [[nodiscard]] bool waits() { return status().rollout && status().rollout->phase == "waiting"; }
  /// It has started nothing: another document may take its place.
  [[nodiscard]] bool gives_way() {
    return waits() || (status().rollout && status().rollout->phase == "staging" && !rolling_back_);
  }

  void step() {
    switch (pick(11)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return apply(pick(shape_.versions));
      case 4:
      case 5:
        return rollback();
      case 9:
        return rollback_to(
            static_cast<std::size_t>(pick(static_cast<int>(model_.generations.size()) + 2)) + 1);
      case 6:
        return model_.held ? resume() : hold();
      case 7:
        return quarantine(pick(shape_.versions));
      case 8:
        return rehearse();
      case 10:
        return release(pick(shape_.versions));
      default:
        FAIL() << "a number that stands for nothing";
    }
  }

  void apply(int version) {
    const bool rolling = under_way();
    const bool gives_way = this->gives_way();
    const bool now = chance(2);
    const bool closed = !now && is_windowed(version);
    const auto answer = agent_->apply(document(version), now);
    tell("apply {}{} → {}", version, now ? " now" : "",
         answer ? fmt::format("{} {}", answer->generation, answer->changed)
                : std::string{code(answer.error().code())});
    if (model_.quarantined.contains(version)) {
      ASSERT_FALSE(answer);
      EXPECT_EQ(answer.error().code(), Errc::quarantined);
    } else if (rolling && model_.pending && model_.version(*model_.pending) == version) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->generation, *model_.pending);
      if (now) model_.closed = false;
    } else if (rolling && rolling_back_ && model_.version(model_.in_force) == version) {
      ASSERT_TRUE(answer) << "it is what the rollback goes to";
      EXPECT_EQ(answer->generation, model_.in_force);
    } else if (rolling && !gives_way) {
      ASSERT_FALSE(answer);
      EXPECT_EQ(answer.error().code(), Errc::busy);
    } else if (model_.in_force != 0 && model_.version(model_.in_force) == version) {
      ASSERT_TRUE(answer);
      EXPECT_FALSE(answer->changed);
      EXPECT_EQ(answer->generation, model_.in_force);
      model_.pending.reset();
    } else {
      ASSERT_TRUE(answer) << answer.error().to_string();
      EXPECT_TRUE(answer->changed);
      model_.generations.push_back({version, false});
      EXPECT_EQ(answer->generation, model_.generations.size());
      model_.pending = model_.generations.size();
      model_.closed = closed;
    }
    agent_->run(1ms);
  }

  /// What changes a service waits for the window of what is to come; the first deployment does not.
  [[nodiscard]] bool is_windowed(int version) const {
    return version == kWindowed && model_.in_force != 0;
  }

  /// A dry run beforehand names what it goes to, and what ends.
  static void expect_foreseen(const Result<proto::api::PlanReport>& foreseen,
                              const Result<proto::api::Accepted>& answer, std::size_t ends) {
    ASSERT_EQ(foreseen.has_value(), answer.has_value());
    if (!answer) return;
    EXPECT_EQ(foreseen->to, answer->generation);
    EXPECT_EQ(foreseen->from, ends);
    EXPECT_THAT(foreseen->warnings,
                ::testing::Contains(
                    fmt::format("the document of generation {} will be quarantined", ends)));
  }

  /// Of what was quarantined, and is not any more, the image may have been collected meanwhile.
  [[nodiscard]] bool is_here(std::size_t number) const {
    return number != 0 &&
           host_.local_images.contains(proto::Digest::of(std::to_string(model_.version(number))));
  }

  void rollback() {
    const bool turns_back = under_way() && !waits() && model_.pending.has_value();
    const bool busy = status().rollout && !waits() && !turns_back;
    const auto foreseen = agent_->plan_rollback();
    const auto answer = agent_->rollback();
    expect_foreseen(foreseen, answer, turns_back ? *model_.pending : model_.in_force);
    tell("rollback → {}",
         answer ? std::to_string(answer->generation) : std::string{code(answer.error().code())});
    const auto target = turns_back ? model_.in_force : model_.rollback_target();
    if (busy || target == 0 || (!turns_back && !is_here(target))) {
      EXPECT_FALSE(answer);
      return;
    }
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->generation, target);
    model_.quarantined.insert(model_.version(turns_back ? *model_.pending : model_.in_force));
    rolling_back_ = !turns_back;
    model_.pending.reset();
    model_.in_force = target;
    agent_->run(1ms);
  }

  /// `rollback --to`: any good generation; back to what a rollout began from turns it back.
  void rollback_to(std::size_t number) {
    const bool rolling = under_way() && !waits();
    const bool turns_back = rolling && model_.pending.has_value() && number == model_.in_force;
    const auto foreseen = agent_->plan_rollback(number);
    const auto answer = agent_->rollback(number);
    expect_foreseen(foreseen, answer, turns_back ? *model_.pending : model_.in_force);
    tell("rollback --to {} → {}", number,
         answer ? std::to_string(answer->generation) : std::string{code(answer.error().code())});
    const bool good = number <= model_.generations.size() && model_.generations[number - 1].good;
    const bool runs =
        good && model_.in_force != 0 && model_.version(number) == model_.version(model_.in_force);
    if (!turns_back && (rolling || !good || runs || !is_here(number))) {
      EXPECT_FALSE(answer);
      return;
    }
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->generation, number);
    model_.quarantined.insert(model_.version(turns_back ? *model_.pending : model_.in_force));
    model_.quarantined.erase(model_.version(number));
    rolling_back_ = !turns_back;
    model_.pending.reset();
    model_.in_force = number;
    agent_->run(1ms);
  }

  void hold() {
    // One that has begun goes on; what the model calls pending from here on waits.
    if (under_way() && !waits()) return settle();
    tell("hold");
    ASSERT_TRUE(agent_->core().commands().holds.hold({"busy", ""}, kRoot));
    model_.held = true;
    agent_->run(1ms);
  }

  void resume() {
    tell("resume");
    (void)under_way();
    EXPECT_EQ(agent_->core().commands().holds.resume({""}, kRoot).value().hold.has_value(),
              model_.held);
    model_.held = false;
    agent_->run(1ms);
  }

  /// Changes nothing that the model knows, whatever it meets.
  void rehearse() {
    const bool rolling = under_way() && !waits();
    const auto answer = agent_->core().commands().rehearsals.rehearse({0, "just to see"}, kRoot);
    tell("rehearse → {}", answer.has_value());
    if (answer && !rolling) {
      EXPECT_EQ(answer->generation, model_.rollback_target());
    }
    agent_->run(1ms);
  }

  void quarantine(int version) {
    const bool rolling = under_way();
    if (rolling && !waits()) return;
    const bool runs = model_.in_force != 0 && model_.version(model_.in_force) == version;
    const auto done =
        agent_->core().commands().holds.quarantine({digest_of(version), "no", ""}, kRoot);
    tell("quarantine {} → {}", version, done.has_value());
    EXPECT_EQ(done.has_value(), !runs);
    if (!done) return;
    model_.quarantined.insert(version);
    if (model_.pending && model_.version(*model_.pending) == version) model_.pending.reset();
    agent_->run(1ms);
  }

  void release(int version) {
    (void)under_way();
    if (status().rollout && !waits()) return;
    const auto done = agent_->core().commands().holds.release({digest_of(version), ""}, kRoot);
    tell("release {} → {}", version, done.has_value());
    EXPECT_EQ(done.has_value(), model_.quarantined.erase(version) == 1);
    agent_->run(1ms);
  }

  void disturb() {
    for (int i = pick(3); i > 0; --i) {
      switch (pick(3)) {
        case 0: {
          tell("kill -9");
          const auto before = host_.instances.size();
          agent_.reset();
          EXPECT_EQ(host_.instances.size(), before);  // I-10
          begin();
          break;
        }
        case 1:
          crash();
          break;
        default: {
          const auto span = Milliseconds{pick(2'500)};
          tell("{} ms", span.count());
          agent_->run(span);
        }
      }
      watch();
    }
  }

  /// A process of what serves dies; only when that is not a failed update.
  void crash() {
    if (under_way() && !waits()) return;
    for (auto& [id, instance] : host_.instances) {
      if (instance.state != InstanceState::running) continue;
      tell("crash {}", id.str());
      instance.state = InstanceState::exited;
      instance.exit = deploy::plan::ExitInfo{137, false, host_.clock.wall()};
    }
    agent_->core().attention().mark_changed();
    agent_->run(20s);
  }

  void settle() {
    agent_->run(20s);
    watch();
    model_.end_pending();
    check();
  }

  /// At any moment.
  void watch() {
    const auto now = agent_->snapshot();
    EXPECT_LE(std::count_if(now->records->history.begin(), now->records->history.end(),
                            [](const auto& item) { return item.current; }),
              1);                        // I-1
    EXPECT_GE(now->head.number, head_);  // I-2
    head_ = now->head.number;
    if (now->status.generation == 0) return;
    for (const auto& [key, endpoint] : host_.routing->ports) {  // I-4
      const auto serves = std::find_if(
          host_.instances.begin(), host_.instances.end(),
          [&wanted = endpoint](const auto& row) { return row.second.address == wanted.address; });
      EXPECT_TRUE(serves != host_.instances.end() && serves->second.state == InstanceState::running)
          << "nobody serves";
    }
  }

  /// When everything has ended.
  void check() {
    const auto now = agent_->snapshot();
    EXPECT_EQ(now->status.generation, model_.in_force)
        << now->status.state.text() << ": " << now->status.message << ", first of history: "
        << (now->records->history.empty() ? "" : now->records->history.front().result.text());
    EXPECT_EQ(now->status.rollout.has_value(), model_.pending.has_value());
    EXPECT_EQ(now->status.hold.has_value(), model_.held);                // I-3
    ASSERT_EQ(now->records->history.size(), model_.generations.size());  // I-3
    std::set<std::string> quarantined;
    for (const auto version : model_.quarantined) quarantined.insert(digest_of(version));
    std::set<std::string> listed;
    for (const auto& item : now->records->quarantine) listed.insert(item.spec_digest);
    EXPECT_EQ(listed, quarantined);  // a rollback is not undone
    for (const auto& item : now->records->history) {
      const auto& row = model_.generations[item.generation - 1];
      if (row.good) {
        EXPECT_TRUE(item.result == "good" || item.result == "rolled_back")
            << item.generation << " is " << item.result.text();
      } else {
        EXPECT_NE(item.result.text(), "good") << item.generation;
      }
    }
    if (model_.in_force != 0) {
      EXPECT_FALSE(model_.quarantined.contains(model_.version(model_.in_force)));
    }
    if (model_.in_force != 0) {
      EXPECT_EQ(now->status.spec_digest, digest_of(model_.version(model_.in_force)));
      EXPECT_EQ(host_.routing->ports.size(), 1U);
    }
    EXPECT_EQ(host_.instances.size(), model_.in_force == 0 ? 0U : 1U);  // I-5
    EXPECT_EQ(now->status.rollback.generation, model_.rollback_target());
    EXPECT_EQ(now->status.rollback.ready, is_here(model_.rollback_target()))  // I-8
        << now->status.rollback.reason;
    EXPECT_TRUE(ledger_.verify()->intact);  // I-2
  }

  std::mt19937 random_;
  const Shape shape_;
  FakeHost host_;
  MemoryLedger ledger_;
  Model model_;
  std::unique_ptr<Agent> agent_;
  std::shared_ptr<const deploy::engine::Snapshot> shown_;
  bool rolling_back_ = false;  ///< an operator's rollback is under way
  std::uint64_t head_ = 0;
  std::string story_;
};

TEST(Model, FiveThousandRandomLivesKeepThePromises) {
  log::start(log::Level::error);
  constexpr std::uint32_t kLives = 5'000;
  for (std::uint32_t seed = 1; seed <= kLives; ++seed) {
    Life life{seed};
    life.live(5);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << ": " << life.story();
  }
}

// The same few documents again and again, and next to nothing of former ones is kept: A, B, A, B.
TEST(Model, LongLivesOfFewVersionsThatAreHardlyRetainedKeepThemToo) {
  log::start(log::Level::error);
  constexpr std::uint32_t kLives = 150;
  for (std::uint32_t seed = 1; seed <= kLives; ++seed) {
    Life life{seed, {.versions = 2 + static_cast<int>(seed % 2), .retain = 1 + seed % 3}};
    life.live(20);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << ": " << life.story();
  }
}

}  // namespace
}  // namespace holdfast::test
