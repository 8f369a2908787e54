// Processes that came into an instance from outside are looked for off the engine's thread,
// whatever runs on the host.
#include <signal.h>

#include "deploy/runtime/observe/foreign_walk.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Foreign : public RuntimeTest {
 protected:
  /// A process of the host in the process namespace of web-1, that descends neither from the
  /// instance nor from this test.
  void intrude() {
    os::RunOptions run;
    run.spawn.argv = {"sh", "-c",
                      fmt::format("setsid nsenter -t {} -p sleep 1000 </dev/null >/dev/null 2>&1 &",
                                  see("web-1").pid)};
    run.spawn.env = {os::kChildPath};
    const auto ran = os::run(run);
    ASSERT_TRUE(ran && os::succeeded(ran->status));
  }
  rt::ForeignWalk::Inits inits() {
    return {{InstanceId{"web-1"}, *rt::identify(see("web-1").pid)}};
  }
  std::string found() {
    std::string all;
    for (const auto& each : see_closely("web-1").deviations)
      if (each.kind == proto::DriftKind::foreign_process) all += each.evidence + "\n";
    return all;
  }
};

TEST_F(Foreign, OneIsFoundAndToldAndPutOut) {
  create(spec("web-1", a_service(idle())));
  const Told told;
  runtime_->watch([told](const InstanceId&, rt::Change) { ++told; });
  EXPECT_EQ(found(), "");
  told.forget();
  intrude();
  EXPECT_TRUE(eventually([&] { return found().find("(sleep), uid 0") != std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return told > 0; }));
  ASSERT_TRUE(runtime_->expel(InstanceId{"web-1"}));
  EXPECT_TRUE(eventually([&] { return found().empty(); }));
}

TEST_F(Foreign, OfManyTwentyAreNamed) {
  create(spec("web-1", a_service(idle())));
  for (int i = 0; i < 25; ++i) intrude();
  const auto named = [&] {
    const auto all = found();
    std::size_t count = 0;
    for (auto at = all.find("(sleep)"); at != std::string::npos; at = all.find("(sleep)", at + 1))
      ++count;
    return count;
  };
  EXPECT_TRUE(eventually([&] { return named() == 20; })) << found();
}

TEST_F(Foreign, OfManyAPartIsLookedAtAtATimeAndWhatWasFoundIsRepeated) {
  create(spec("web-1", a_service(idle())));
  intrude();
  for (const auto& bounds : {rt::ForeignBounds{.processes = 3, .time = Milliseconds{10'000}},
                             rt::ForeignBounds{.processes = 1'000, .time = Milliseconds{0}}}) {
    rt::ForeignWalk walk{clock_, bounds};
    const auto all = inits();
    rt::ForeignWalk::Found found;
    ASSERT_TRUE(eventually([&] {
      found = walk.look(all, {}, {});
      return !found.empty();
    }));
    EXPECT_FALSE(walk.saw_all());
    const auto pid = found.begin()->second.at(0).process.pid;
    int parts = 0;
    do {
      EXPECT_THAT(walk.look(all, {}, {}), SizeIs(1)) << "it lives";
      ++parts;
    } while (!walk.reached_end() && parts < 100'000);
    do {
      EXPECT_THAT(walk.look(all, {}, {}), SizeIs(1)) << "it lives";
      ++parts;
    } while (!walk.reached_end() && parts < 100'000);
    EXPECT_GT(parts, 3);
    if (bounds.processes == 3) continue;
    kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return walk.look(all, {}, {}).empty(); })) << "it ended";
  }
}

/// Goes on by 100 ms whenever it is looked at.
class SlowHost final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override { return {}; }
  [[nodiscard]] BootTime boot() const override { return now_ += Milliseconds{100}; }
  [[nodiscard]] BootTime now() const { return now_; }

 private:
  mutable BootTime now_{std::chrono::hours{1}};
};

TEST_F(Foreign, AllOfThemAreLookedAtUntilTheTimeIsOver) {
  create(spec("web-1", a_service(idle())));
  intrude();
  constexpr rt::ForeignBounds kFewAtATime{.processes = 3, .time = Milliseconds{250}};
  ASSERT_TRUE(eventually([&] {
    rt::ForeignWalk whole{clock_, kFewAtATime};
    const auto found = whole.look_at_all(inits(), clock_.boot() + std::chrono::seconds{10});
    return whole.reached_end() && found.size() == 1;
  }));
  const SlowHost slow;
  rt::ForeignWalk part{slow, kFewAtATime};
  const auto deadline = slow.now() + std::chrono::seconds{1};
  (void)part.look_at_all(inits(), deadline);
  EXPECT_FALSE(part.reached_end());
  EXPECT_GE(slow.now(), deadline);
  EXPECT_LT(slow.now(), deadline + std::chrono::seconds{1});
}

TEST_F(Foreign, AChainOfDescendantsIsNot) {
  create(spec("web-1", a_service({"/bin/sh", "-c",
                                  "n=0; deeper() { n=$((n + 1)); if [ $n -lt 100 ]; then (deeper); "
                                  "else echo deep; sleep 1000; fi; true; }; deeper"})));
  EXPECT_TRUE(eventually([&] { return log_of("web-1").find("deep") != std::string::npos; }));
  rt::ForeignWalk walk{clock_};
  EXPECT_THAT(walk.look(inits(), {}, {}), IsEmpty());
  EXPECT_TRUE(walk.saw_all());
  rt::ForeignWalk small{clock_, {.processes = 7, .time = Milliseconds{10'000}}};
  for (int i = 0; i < 500; ++i)
    ASSERT_THAT(small.look(inits(), {}, {}), IsEmpty())
        << "one whose descent takes too many reads is not said to be foreign";
}

}  // namespace
}  // namespace holdfast::test
